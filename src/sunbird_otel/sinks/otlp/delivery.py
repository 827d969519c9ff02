"""Delivering one request after another: when to try again, when to split, when to keep instead.

The loop is our own and not a retry library's since one time budget, the receiver's wishes (Retry-After), the end of
the run and the memory of an outage decide together, for HTTP and gRPC alike.

An outage holds up the run once: after ``retry_seconds`` without success requests are kept at once, and one is tried
every ``probe_seconds``, until one gets through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

from sunbird_otel.sinks.otlp.request import KINDS, Request, split
from sunbird_otel.sinks.otlp.transport import Accepted, Answer, Busy, NoPlace, Refused, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sunbird_otel.sinks._base import SinkReport
    from sunbird_otel.sinks.otlp.request import Kind
    from sunbird_otel.sinks.otlp.settings import OtlpSettings
    from sunbird_otel.sinks.otlp.transport import Transport
    from sunbird_otel.sinks.otlp.undelivered import UndeliveredFolder

_CHANCE = SystemRandom()
"""Spreads the load of many that try again. Not the module's own generator: a seed that a service sets is its own."""


@dataclass(slots=True)
class _Receiver:
    """What is known of the receiver of one kind of signal."""

    transport: Transport
    accepts: bool | None = None
    """False: it has no place for the kind. True: it took a request. None: not known yet."""
    down: str = ""
    """Why it is given up for now; empty while it works."""
    probe_at: float = 0.0
    too_large: float = math.inf
    """The smallest request, in bytes, that it found too large: the next of that size is split before it is sent."""


class Delivery:
    """Delivers requests to the receivers, and accounts for each in ``report``.

    ``wait(seconds)`` pauses, and returns True when the run is to end now; ``monotonic`` is its clock, in seconds.
    """

    def __init__(
        self,
        settings: OtlpSettings,
        transports: Mapping[Kind, Transport],
        report: SinkReport,
        undelivered: UndeliveredFolder | None,
        *,
        monotonic: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> None:
        self._settings = settings
        self._receivers: dict[Kind, _Receiver] = {kind: _Receiver(transport) for kind, transport in transports.items()}
        self._report = report
        self._undelivered = undelivered
        self._monotonic = monotonic
        self._wait = wait
        self.last_failure = ""
        self.last_kind: Kind = "traces"
        self.lost = ""

    def deliver(self, request: Request) -> None:
        """Deliver ``request``, or skip it, or keep it; bounded in time."""
        receiver = self._receivers[request.kind]
        if receiver.accepts is False:
            self._report.skipped[request.kind] += request.items
            return
        if self._wait(0):
            self._keep(request, receiver.down or "the run was ended before it could be sent")
            return
        if receiver.down and self._monotonic() < receiver.probe_at:
            self._keep(request, receiver.down)
            return
        if request.items > 1 and len(request.body) >= receiver.too_large:
            self._halve(request)
            return
        match self._send(receiver, request):
            case Accepted() as answer:
                self._accept(receiver, request, answer)
            case TooLarge() if request.items > 1:
                receiver.too_large = min(receiver.too_large, len(request.body))
                self._halve(request)
            case NoPlace(reason):
                self._no_place(receiver, request, reason)
            case Busy(reason):
                receiver.down = reason
                receiver.probe_at = self._monotonic() + self._settings.probe_seconds
                self._keep(request, reason)
            case TooLarge(reason) | Refused(reason):
                self._keep(request, reason)

    def _halve(self, request: Request) -> None:
        for half in split(request):
            self.deliver(half)

    def _send(self, receiver: _Receiver, request: Request) -> Answer:
        """Send until the answer is final, or the time is up."""
        pause, deadline = self._settings.retry_first, None
        while True:
            self._report.requests += 1
            answer = receiver.transport.send(request)
            if not isinstance(answer, Busy):
                receiver.down = ""
                return answer
            if receiver.down:
                return answer
            now = self._monotonic()
            deadline = deadline or now + self._settings.retry_seconds
            jitter = _CHANCE.uniform(0.5, 1.0)
            delay = max(answer.after or 0.0, pause * jitter)
            if now + delay > deadline or self._wait(delay):
                return answer
            pause = min(pause * 2, self._settings.retry_most)

    def _accept(self, receiver: _Receiver, request: Request, answer: Accepted) -> None:
        receiver.accepts = True
        noun = KINDS[request.kind].noun
        if answer.rejected:
            remark = answer.message or "no reason given"
            self._report.note(f"The receiver dropped some {noun} (partial success): {remark}")
        elif answer.message:
            self._report.note(f"The receiver remarked on {noun}: {answer.message}")
        rejected = min(max(answer.rejected, 0), request.items)
        if rejected:
            self._report.rejected[request.kind] += rejected
        self._report.delivered[request.kind] += request.items - rejected

    def _no_place(self, receiver: _Receiver, request: Request, reason: str) -> None:
        noun = KINDS[request.kind].noun
        if receiver.accepts:
            # It took some before: that is a fault on the way, and what it means for the rest is not known.
            self._keep(request, reason)
            return
        if self._is_otlp():
            receiver.accepts = False
            self._report.skipped[request.kind] += request.items
            self._report.note(f"The receiver has no place for {noun} ({reason}); they are left out.")
            return
        # Nothing there speaks OTLP: the address is wrong, and no later request will fare better.
        receiver.down = f"{reason}, for every kind of signal; is this the address of an OTLP receiver?"
        receiver.probe_at = float("inf")
        self._keep(request, receiver.down)

    def _is_otlp(self) -> bool:
        """Tell whether the receivers take any kind of signal; the specification lets a client send an empty request."""
        if any(receiver.accepts for receiver in self._receivers.values()):
            return True
        for kind, receiver in self._receivers.items():
            if isinstance(receiver.transport.send(Request(kind, b"", 0)), Accepted):
                return True
        return False

    def _keep(self, request: Request, reason: str) -> None:
        self.last_failure, self.last_kind = reason, request.kind
        self._report.undelivered[request.kind] += request.items
        if self._undelivered is None:
            return
        try:
            self._report.undelivered_files.append(self._undelivered.keep(request))
        except OSError as error:
            self.lost = f"{self._undelivered.folder}: {error.strerror}"
