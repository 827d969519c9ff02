"""Sunbird telemetry for the benchmarks: the mix, the shapes and the sizes that were counted in the field, from a seed.

    python benchmarks/workload.py --events 200000 > events.jsonl

What is copied from the field, with the source of each figure:

* **Mix.** Of 114,379 events of one system: LOG 90.7 %, IMPRESSION 4.9, START 1.6, AUDIT 0.9, INTERACT 0.7, END 0.6,
  ERROR 0.4, SEARCH 0.1. STARTs are app (half of them, never ended), page and player; two in five have an END.
* **LOGs** are what services write about their requests: of those captured, 85 % are ``api_access``, from a Node service
  (with a request id, without duration), Java services (duration, status, no request id) and a third kind whose
  request id stands in ``cdata``; the rest are requests' payloads and system messages.
* **Stage.** Lines are as in the archives of topic ``telemetry.raw``: what came through the telemetry API has ``ets`` as
  a float in scientific notation, and ``syncts``, ``@timestamp`` and ``flags``; Java services write there directly.
* **Arrival.** Clients send in batches: half of the delayed events come more than 4.6 s late, one in twenty more than
  38.6 s. Some come twice.

Devices are active ``lanes`` at a time, each visit has a device of its own, and time passes so that an active device
writes an event every 35 seconds.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIX: Final = {
    "LOG": 90.7,
    "IMPRESSION": 4.9,
    "START": 1.6,
    "AUDIT": 0.9,
    "INTERACT": 0.7,
    "END": 0.6,
    "ERROR": 0.4,
    "SEARCH": 0.1,
}
"""Per cent of all events."""

_CLIENT_SHARE: Final = sum(MIX[eid] for eid in ("IMPRESSION", "START", "INTERACT", "END")) / 100
_SECONDS_BETWEEN: Final = 35
"""Of an active device: about nine events in a visit of five minutes."""

_FIRST_MS: Final = 1_760_000_000_000
_LAG_MEDIAN_MS: Final = 4_600
_LAG_SIGMA: Final = math.log(38.6 / 4.6) / 1.645
"""Of a log-normal distribution whose 95th percentile is 38.6 s."""

LONGEST_LAG_MS: Final = 240_000
"""No event comes later than this, so that a lateness of five minutes keeps all in order."""

_AGENTS: Final = (
    b"Mozilla/5.0 (Linux; Android 13; SM-A145F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Mobile Safari/537.36",
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.7258.66 Safari/537.36",
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0",
)
_PAGES: Final = (b"page/home", b"page/learn", b"app/search/learning", b"app/careers/home", b"app/profile/dashboard")
_QUERIES: Final = (b"photosynthesis", b"course", b"grade 7 maths", b"fractions", b"teacher training")
_CHANNELS: Final = (b"0126684405014528002", b"0131397178949058560", b"01285019302823526477", b"0123221617357783046602")
_NODE_APIS: Final = (
    (b"Search api", b"search", b"search", b"POST"),
    (b"Content read api", b"content", b"content/v1/read", b"GET"),
    (b"Content hierarchy api", b"course", b"course/v1/hierarchy", b"GET"),
    (b"Framework read api", b"framework", b"framework/v1/read", b"GET"),
)
_JAVA_APIS: Final = (
    (
        b"/content/v3/read/do_3143%014d?fields=createdBy%%2Ccollaborators%%2CprimaryCategory&mode=edit",
        b"GET",
        b"content",
    ),
    (b"/content/v3/hierarchy/do_3143%014d?mode=edit&rootId=do_3143000000000000", b"GET", b"content"),
    (b"/v3/search?framework=k-12&consumer=portal&request=do_3143%014d", b"POST", b"search"),
    (b"/assessment/v3/items/list?item=do_3143%014d&offset=0&limit=200", b"POST", b"assessment"),
)
_USER_APIS: Final = (b"/private/user/v1/search", b"/v1/user/read/", b"/v2/user/consent/read", b"/v1/org/search")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What to make. Equal workloads make equal lines."""

    events: int = 50_000
    """How many lines, copies among them."""
    lanes: int = 500
    """Devices that are active at a time."""
    duplicates: float = 0.01
    """The share of lines that are exact copies of an earlier one."""
    delayed: float = 0.1
    """The share of events that arrive late, and therefore out of order."""
    seed: int = 1


@dataclass(slots=True)
class _Visit:
    """A device that is active, and how its events say who they are."""

    mobile: bool
    actor: bytes
    context: bytes
    """Ends before the value of ``cdata``."""


@dataclass(slots=True)
class _OpenFlow:
    visit: _Visit
    type: bytes
    mode: bytes
    object: bytes
    cdata: bytes
    since_ms: int


def lines(workload: Workload) -> Iterator[bytes]:
    """Yield the lines in the order in which they arrive."""
    made = _made(workload)
    rng = random.Random(f"arrival {workload.seed}")
    waiting: list[tuple[int, int, bytes]] = []
    lately: deque[bytes] = deque(maxlen=64)
    given = 0
    for number, (now_ms, arrival_ms, event) in enumerate(made):
        heapq.heappush(waiting, (arrival_ms, number, event))
        while waiting and waiting[0][0] <= now_ms:
            if given >= workload.events:
                return
            if lately and rng.random() < workload.duplicates:
                yield lately.popleft()  # a batch that was sent again
            else:
                line = heapq.heappop(waiting)[2]
                lately.append(line)
                yield line
            given += 1


def _made(workload: Workload) -> Iterator[tuple[int, int, bytes]]:
    """Yield event time, time of arrival and text of events without end, in the order of event time."""
    rng = random.Random(workload.seed)
    clients = _Clients(rng, workload.lanes)
    makers: dict[str, Callable[[int, int], bytes]] = {
        "LOG": _Logs(rng).log,
        "AUDIT": lambda ets, arrival: _audit(rng, clients, ets, arrival),
        "ERROR": lambda ets, arrival: _error(rng, ets, arrival),
        "IMPRESSION": clients.impression,
        "START": clients.start,
        "INTERACT": clients.interact,
        "END": clients.end,
        "SEARCH": clients.search,
    }
    kinds, weights = list(makers.values()), [MIX[eid] for eid in makers]
    step_ms = 1000 * _SECONDS_BETWEEN * _CLIENT_SHARE / workload.lanes
    number = 0
    while True:
        for make in rng.choices(kinds, weights, k=1000):
            ets = arrival = _FIRST_MS + int(number * step_ms)
            if rng.random() < workload.delayed:
                arrival += min(LONGEST_LAG_MS, int(rng.lognormvariate(math.log(_LAG_MEDIAN_MS), _LAG_SIGMA)))
            yield ets, arrival, make(ets, arrival)
            number += 1


# --- The envelope ------------------------------------------------------------------------------------------------


def _hex(rng: random.Random) -> bytes:
    return b"%032x" % rng.getrandbits(128)


def _uuid(rng: random.Random) -> bytes:
    text = b"%032x" % rng.getrandbits(128)
    return b"%b-%b-%b-%b-%b" % (text[:8], text[8:12], text[12:16], text[16:20], text[20:])


def _content(rng: random.Random) -> bytes:
    return b"do_3143%014d" % rng.randrange(10**14)


def _float(ets: int) -> bytes:
    """Write milliseconds as the pipeline's JSON library does: 1.760000000123E12."""
    digits = b"%d" % ets
    return b"%b.%bE12" % (digits[:1], digits[1:].rstrip(b"0") or b"0")


def _extracted(eid: bytes, ets: int, arrival: int, rest: bytes) -> bytes:
    """Wrap what came in a batch through the telemetry API and the pipeline's extractor."""
    moment = datetime.fromtimestamp(arrival // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    return b'{"eid":"%b","ets":%b,"ver":"3.0",%b,"syncts":%d,"@timestamp":"%b.%03dZ","flags":{"ex_processed":true}}' % (
        eid, _float(ets), rest, arrival, moment, arrival % 1000,
    )  # fmt: skip


def _direct(eid: bytes, ets: int, arrival: int, rest: bytes) -> bytes:
    """Wrap what a service wrote straight to the topic."""
    return b'{"eid":"%b","ets":%d,"ver":"3.0",%b,"syncts":%d}' % (eid, ets, rest, arrival)


# --- Services ----------------------------------------------------------------------------------------------------


class _Logs:
    """LOG events, by five kinds of writers."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._kinds = (self._node, self._java, self._user, self._payload, self._system)
        self._weights = (45, 32, 8, 7.5, 7.5)

    def log(self, ets: int, arrival: int) -> bytes:
        """Return one LOG."""
        return self._rng.choices(self._kinds, self._weights)[0](ets, arrival)

    def _node(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        title, category, url, method = rng.choice(_NODE_APIS)
        return _extracted(
            b"LOG", ets, arrival,
            b'"mid":"LOG:%b","actor":{"id":"%b","type":"user"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.content-service","ver":"1.0","pid":"sunbird-content-service"},"env":"content",'
            b'"sid":"","did":"","cdata":[],"rollup":{}},"object":{"id":"%b","type":"course","ver":"","rollup":{}},"tags":[],'
            b'"edata":{"type":"api_access","level":"INFO","message":"successful","params":[{"rid":"%b"},{"title":"%b"},'
            b'{"category":"%b"},{"url":"%b"},{"method":"%b"}]}'
            % (_hex(rng), _uuid(rng), rng.choice(_CHANNELS), _content(rng), _uuid(rng), title, category, url, method),
        )  # fmt: skip

    def _java(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        url, method, env = rng.choice(_JAVA_APIS)
        status = 200 if rng.random() < 0.96 else rng.choice((400, 404, 500))
        return _direct(
            b"LOG", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"org.sunbird.learning.platform","type":"System"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.learning.platform","pid":"%b-service","ver":"1.0"},"env":"%b"},'
            b'"edata":{"level":"INFO","type":"api_access","message":"","params":[{"duration":%d},{"protocol":"http"},'
            b'{"size":%d},{"method":"%b"},{"uip":"10.0.%d.%d"},{"url":"%b"},{"status":%d}]}'
            % (ets, _uuid(rng), rng.choice(_CHANNELS), env, env, 2 + int(rng.expovariate(1 / 60)), rng.randrange(200, 90_000),
               method, rng.randrange(4), rng.randrange(1, 255), url % rng.randrange(10**14), status),
        )  # fmt: skip

    def _user(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        request = _uuid(rng)
        return _direct(
            b"LOG", ets, arrival,
            b'"mid":"%b","actor":{"id":"internal","type":"Consumer"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.sunbird.learning.service","pid":"learner-service","ver":"5.1.0"},"env":"Miscellaneous",'
            b'"cdata":[{"id":"%b","type":"Request"}],"rollup":{}},"edata":{"level":"info","type":"Api_access","message":"",'
            b'"params":[{"url":"%b"},{"method":"POST"},{"duration":%d},{"status":"OK"}]}'
            % (request, rng.choice(_CHANNELS), request, rng.choice(_USER_APIS), rng.randrange(90)),
        )  # fmt: skip

    def _payload(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        wanted = b",".join(b'\\"%b\\"' % _content(rng) for _ in range(rng.randrange(1, 25)))
        return _direct(
            b"LOG", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"org.sunbird.learning.platform","type":"User"},"context":{"channel":"%b",'
            b'"pdata":{"id":"prod.prod.learning.platform","pid":"search-service","ver":"1.0"},"env":"system"},'
            b'"edata":{"level":"INFO","type":"payload","message":"{\\"request\\":{\\"filters\\":{\\"objectType\\":\\"Content\\",'
            b'\\"identifier\\":[%b]},\\"limit\\":100}}"}' % (ets, _uuid(rng), rng.choice(_CHANNELS), wanted),
        )  # fmt: skip

    def _system(self, ets: int, arrival: int) -> bytes:
        rng = self._rng
        return _direct(
            b"LOG", ets, arrival,
            b'"mid":"LP.%d.%b","actor":{"id":"org.sunbird.learning.platform","type":"User"},"context":{"channel":"in.ekstep",'
            b'"pdata":{"id":"prod.prod.learning.platform","pid":"learning-service","ver":"1.0"},"env":"system"},'
            b'"edata":{"level":"ERROR","type":"system","message":"The event %b of topic prod.learning.job.request was not read. '
            b'The broker said: the group is rebalancing, so a rejoin is needed (attempt %d); it is tried again in 500 ms."}'
            % (ets, _uuid(rng), _content(rng), rng.randrange(1, 9)),
        )  # fmt: skip


def _audit(rng: random.Random, clients: _Clients, ets: int, arrival: int) -> bytes:
    if rng.random() < 0.15:
        return clients.audit(ets, arrival)
    props = b'"props":["lastUpdatedOn","pkgVersion","versionKey","status","lastStatusChangedOn","artifactUrl","downloadUrl","size"]'
    return _direct(
        b"AUDIT", ets, arrival,
        b'"mid":"LP.%d.%b","actor":{"id":"%b","type":"User"},"context":{"channel":"%b",'
        b'"pdata":{"id":"prod.prod.learning.platform","pid":"audit-event-generator","ver":"1.0"},"env":"content",'
        b'"cdata":[{"id":"NCF","type":"framework"},{"id":"%b","type":"Request"}],"rollup":{}},'
        b'"object":{"id":"%b","type":"Content","rollup":{}},"edata":{%b,"state":"Live","prevstate":"Review"}'
        % (ets, _uuid(rng), _uuid(rng), rng.choice(_CHANNELS), _uuid(rng), _content(rng), props),
    )  # fmt: skip


def _error(rng: random.Random, ets: int, arrival: int) -> bytes:
    if rng.random() < 0.55:
        request = _uuid(rng)
        return _direct(
            b"ERROR", ets, arrival,
            b'"mid":"%b","actor":{"id":"%b","type":"User"},"context":{"channel":"%b","pdata":{"pid":"lms-service","ver":"1.0"},'
            b'"env":"Batch","cdata":[{"id":"%b","type":"Request"}],"rollup":{}},"edata":{"err":"MANDATORY_PARAMETER_MISSING",'
            b'"stacktrace":"org.sunbird.validator.RequestValidator.lambda$mandatory$0(RequestValidator.java:52)",'
            b'"errtype":"api_access"}' % (request, _uuid(rng), rng.choice(_CHANNELS), request),
        )  # fmt: skip
    return _extracted(
        b"ERROR", ets, arrival,
        b'"mid":"ERROR:%b","actor":{"id":"%b","type":"user"},"context":{"channel":"%b",'
        b'"pdata":{"id":"prod.prod.content-service","ver":"1.0","pid":"sunbird-content-service"},"env":"contentplayer",'
        b'"sid":"","did":"","cdata":[],"rollup":{}},"object":{"id":"%b","type":"course","ver":"","rollup":{}},"tags":[],'
        b'"edata":{"err":"ERR_TOKEN_INVALID","errtype":"UNAUTHORIZED_ACCESS","stacktrace":"{\\"id\\":\\"api.review\\",'
        b'\\"params\\":{\\"resmsgid\\":\\"%b\\",\\"status\\":\\"failed\\",\\"errmsg\\":\\"Access denied\\"},'
        b'\\"responseCode\\":\\"UNAUTHORIZED_ACCESS\\",\\"result\\":{}}"}'
        % (_hex(rng), _uuid(rng), rng.choice(_CHANNELS), _content(rng), _uuid(rng)),
    )  # fmt: skip


# --- Clients -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Clients:
    """Devices in the middle of their visits: three in five a browser, the others the mobile app."""

    rng: random.Random
    lanes: int
    visits: list[_Visit] = field(default_factory=list["_Visit"])
    open: list[_OpenFlow] = field(default_factory=list["_OpenFlow"])

    def __post_init__(self) -> None:
        self.visits = [self._visit() for _ in range(self.lanes)]

    def _visit(self) -> _Visit:
        rng = self.rng
        user, channel = _uuid(rng), rng.choice(_CHANNELS)
        mobile = rng.random() < 0.4
        if mobile:
            context = (
                b'{"channel":"%b","pdata":{"id":"prod.sunbird.app","ver":"6.0.1","pid":"sunbird.app"},"env":"home",'
                b'"sid":"%b","did":"%040x","rollup":{"l1":"%b"},"cdata":' % (channel, _uuid(rng), rng.getrandbits(160), channel)
            )  # fmt: skip
        else:
            context = (
                b'{"channel":"%b","pdata":{"id":"prod-web-ui","ver":"1.0.0","pid":"%b"},"env":"prod","sid":"","did":"%b",'
                b'"rollup":{},"cdata":' % (channel, rng.choice(_AGENTS), _hex(rng))
            )
        return _Visit(mobile, b'{"id":"%b","type":"User"}' % user, context)

    def _event(
        self, eid: bytes, ets: int, arrival: int, visit: _Visit, cdata: bytes, obj: bytes, edata: bytes
    ) -> bytes:  # noqa: PLR0913, PLR0917 (the parts of an event)
        rest = b'"mid":"%b:%b","actor":%b,"context":%b[%b]},"object":%b,"tags":[],"edata":{%b}' % (
            eid, _hex(self.rng), visit.actor, visit.context, cdata, obj, edata,
        )  # fmt: skip
        return _extracted(eid, ets, arrival, rest)

    def _object(self) -> bytes:
        return b'{"ver":"1.0","id":"%b","type":"Content"}' % _content(self.rng)

    def start(self, ets: int, arrival: int) -> bytes:
        """Return a START: of an app (a new visit), a page or a player."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.516:
            slot = rng.randrange(self.lanes)
            self.visits[slot] = visit = self._visit()
            edata = b'"type":"app","mode":"view","pageid":"","duration":%d.278' % (ets // 1000)
            return self._event(b"START", ets, arrival, visit, b"", b'{"ver":"1.0.0"}', edata)
        visit = rng.choice(self.visits)
        play = b""
        if kind < 0.943:
            type_, mode = (b"TextBook", b"play") if visit.mobile else (b"Page", b"View")
        else:
            type_, mode = (b"content", b"play") if visit.mobile else (b"Player", b"Play")
            play = b'{"type":"PlaySession","id":"%b"}' % _hex(rng) if visit.mobile else b""
        flow = _OpenFlow(visit, type_, mode, self._object(), play, ets)
        self.open.append(flow)
        if len(self.open) > self.lanes:
            self.open.pop(0)  # one more that is never ended
        edata = b'"type":"%b","mode":"%b","pageid":"%b","duration":%d.459' % (
            type_,
            mode,
            rng.choice(_PAGES),
            ets // 1000,
        )
        return self._event(b"START", ets, arrival, visit, play, flow.object, edata)

    def end(self, ets: int, arrival: int) -> bytes:
        """Return the END of one of the flows that are open, or an IMPRESSION when there is none."""
        if not self.open:
            return self.impression(ets, arrival)
        flow = self.open.pop(self.rng.randrange(len(self.open)))
        seconds, ms = divmod(ets - flow.since_ms, 1000)
        edata = b'"type":"%b","mode":"%b","pageid":"%b","duration":%d.%03d' % (
            flow.type, flow.mode, self.rng.choice(_PAGES), seconds, ms,
        )  # fmt: skip
        return self._event(b"END", ets, arrival, flow.visit, flow.cdata, flow.object, edata)

    def impression(self, ets: int, arrival: int) -> bytes:
        """Return an IMPRESSION."""
        rng = self.rng
        page, obj = rng.choice(_PAGES), self._object()
        edata = b'"pageid":"%b","type":"%b","uri":"%b?primaryCategory=Learning%%20Resource&batchId=%d"' % (
            page, page.partition(b"/")[0], page, rng.randrange(10**6),
        )  # fmt: skip
        return self._event(b"IMPRESSION", ets, arrival, rng.choice(self.visits), b"", obj, edata)

    def interact(self, ets: int, arrival: int) -> bytes:
        """Return an INTERACT."""
        rng = self.rng
        edata = b'"type":"click","subtype":"cardSearch","id":"%b","pageid":"%b"' % (_content(rng), rng.choice(_PAGES))
        return self._event(b"INTERACT", ets, arrival, rng.choice(self.visits), b"", self._object(), edata)

    def search(self, ets: int, arrival: int) -> bytes:
        """Return a SEARCH, with a size that the pipeline has turned into a float."""
        rng = self.rng
        edata = (
            b'"query":"%b","filters":{"visibility":["Default"],"primaryCategory":["Course","Learning Resource"]},"size":%d.0,'
            b'"topn":[{"identifier":"%b"},{"identifier":"%b"}]'
            % (rng.choice(_QUERIES), rng.randrange(500), _content(rng), _content(rng))
        )
        return self._event(b"SEARCH", ets, arrival, rng.choice(self.visits), b"", self._object(), edata)

    def audit(self, ets: int, arrival: int) -> bytes:
        """Return the AUDIT of a login, against the schema as web clients write it."""
        edata = b'"type":"Created","props":"Login","state":{},"prevstate":"","duration":""'
        return self._event(b"AUDIT", ets, arrival, self.rng.choice(self.visits), b"", self._object(), edata)


def main() -> None:
    """Write a workload to the standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    for line in lines(of(parser.parse_args())):
        sys.stdout.buffer.write(line + b"\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of :class:`Workload`."""
    usual = Workload()
    group = parser.add_argument_group("workload")
    group.add_argument("--events", type=int, default=usual.events, help="lines a round (default %(default)s)")
    group.add_argument("--lanes", type=int, default=usual.lanes, help="devices that are active at a time (%(default)s)")
    group.add_argument("--duplicates", type=float, default=usual.duplicates, help="share of copies (%(default)s)")
    group.add_argument(
        "--delayed", type=float, default=usual.delayed, help="share that comes out of order (%(default)s)"
    )
    group.add_argument("--seed", type=int, default=usual.seed)


def of(options: argparse.Namespace) -> Workload:
    """Return the workload that was asked for."""
    return Workload(
        events=options.events,
        lanes=options.lanes,
        duplicates=options.duplicates,
        delayed=options.delayed,
        seed=options.seed,
    )


if __name__ == "__main__":
    main()
