"""One stream for several processes: who gets which event.

:class:`Divider` stands in the place of the bridge where events are read: it puts them in order and deals them out to
bridges of the kind of :class:`sunbird_otel._share.Share`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sunbird_otel._form import Records
from sunbird_otel._kin import KinReader
from sunbird_otel._limits import Limits
from sunbird_otel._order import Entry, Sequencer, own
from sunbird_otel._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sunbird_otel._event import Event
    from sunbird_otel._findings import Finding, Position
    from sunbird_otel._rules import Rules

USUAL: Final = 0
LATE: Final = 1
ECHO: Final = 2
LATE_ECHO: Final = 3
NAMED: Final = 4

Dealt: TypeAlias = Entry
"""An entry whose number of arrival has given way to what it is to its process.

``LATE``: its time has passed. ``ECHO``: another process writes it. ``NAMED``: another process has it; it counts here
only among those that share its name and time (see :func:`sunbird_otel._order.distinct`).
"""

Round: TypeAlias = "tuple[bool, list[list[Dealt]]]"
"""Whether late events may follow, and what each process is dealt; each has a list, if an empty one."""

ROUND_BYTES: Final = 256 << 10
"""Bytes of text that make a round."""

_TIES: Final = 250
"""Bytes that one buffered event is charged for what it is tied by: an estimate, three ids and their families."""

_MOST_KEYS: Final = 500_000
"""Ids that are known at a time when events must leave before the end; those not seen for longest are forgotten."""


class _Family:
    """Events that are tied. ``elder`` is the family that this one has become a part of; ``process`` -1 is undecided."""

    __slots__ = ("elder", "process")

    def __init__(self) -> None:
        self.elder: _Family | None = None
        self.process = -1


def _head(family: _Family) -> _Family:
    elder = family.elder
    while elder is not None:
        further = elder.elder
        if further is None:
            return elder
        family.elder = further
        family, elder = further, further.elder
    return family


class _Families:
    """Who belongs to whom, by the ids that events share."""

    def __init__(self, reader: KinReader) -> None:
        self._reader = reader
        self._by_key: dict[bytes, _Family] = {}
        self._before: dict[bytes, _Family] = {}
        self._following: dict[bytes, list[_Family]] = {}
        self._led: dict[bytes, _Family] = {}
        self.live = False
        """Whether events have left, so that some families have their process."""
        self.parted = 0
        """How often families met that had different processes by then."""

    def of(  # noqa: C901 - a hot loop: no calls
        self, ets_ns: int, text: bytes, place: str | Position | None, line: int
    ) -> tuple[_Family, bool]:
        """Return the family of an entry, and whether every process must see it."""
        kin = self._reader.read(text, ets_ns, place, line)
        keys = kin.keys
        if self.live and len(self._by_key) > _MOST_KEYS:
            self._before, self._by_key = self._by_key, {}
        if not keys:  # nobody's event; its copies are tied at least
            keys = [b"m" + name for name in _names(text)]
        by_key = self._by_key
        family: _Family | None = None
        fresh: list[bytes] = []
        for key in keys:
            known = by_key.get(key)
            if known is None and self.live:
                known = self._before.get(key)
                if known is not None:
                    by_key[key] = known
            if known is None:
                fresh.append(key)
            else:
                family = _head(known) if family is None else self._join(family, known)
        if family is None:
            family = _Family()
        for key in fresh:
            by_key[key] = family
        if kin.follows:
            family = self._follow(kin.follows, family)
        if kin.leads:
            family = self._lead(kin.leads, family)
        return family, kin.shown

    def _join(self, family: _Family, other: _Family) -> _Family:
        other = _head(other)
        if other is family:
            return family
        if family.process < 0:
            family.elder = other
            return other
        if other.process >= 0:
            self.parted += family.process != other.process
            return family
        other.elder = family
        return family

    def _follow(self, producer: bytes, family: _Family) -> _Family:
        led = self._led.get(producer)
        if led is not None:
            return self._join(family, led)
        if not self.live:
            following = self._following.setdefault(producer, [])
            if not following or following[-1] is not family:
                following.append(family)
        return family

    def _lead(self, producer: bytes, family: _Family) -> _Family:
        led = self._led.get(producer)
        if led is not None:
            return self._join(family, led)
        self._led[producer] = family
        for follower in self._following.pop(producer, ()):
            family = self._join(family, follower)
        return family


class _Tied(Sequencer):
    """A buffer that knows the family of each event that waits in it."""

    def __init__(self, lateness_ns: int | None, memory: int, families: _Families) -> None:
        super().__init__(lateness_ns, memory, _TIES)
        self._families = families
        self._waiting: dict[int, tuple[_Family, bool]] = {}

    def push(self, ets_ns: int, text: bytes, place: str | Position | None, line: int = 0) -> bool:
        if not super().push(ets_ns, text, place, line):
            return False
        self._waiting[self._count] = self._families.of(ets_ns, text, place, line)
        return True

    def family(self, entry: Entry) -> tuple[_Family, bool]:
        """Return what is known of an entry that has been released, once."""
        return self._waiting.pop(entry[1])


class Divider(Pipeline[Round]):
    """Reads and orders telemetry for several processes; its "signals" are rounds.

    Args:
        processes: How many there are.
        rules, policy, lateness, memory, limits, on_finding: As those of :class:`sunbird_otel.Bridge`.
    """

    def __init__(
        self,
        processes: int,
        *,
        rules: Rules,
        policy: str,
        lateness: int | None,
        memory: int,
        limits: Limits | None = None,
        on_finding: Callable[[Finding], None] | None = None,
    ) -> None:
        """Start with nothing held."""
        limits = limits or Limits()
        nothing: Any = Records()  # nothing is written here
        super().__init__(
            nothing, rules=rules, policy=policy, lateness=lateness, memory=memory, limits=limits, on_finding=on_finding
        )
        self._families = _Families(KinReader(rules, policy, limits))
        self._tied = _Tied(lateness, memory, self._families)
        self._order = self._tied
        self._loads = [0] * processes
        self._dealt: list[list[Dealt]] = [[] for _ in range(processes)]
        self._bytes = 0

    @property
    def parted(self) -> int:
        """Return how often events that belong together had already gone to different processes."""
        return self._families.parted

    def drain_steps(self, events: int = 2_000) -> Iterator[list[Round]]:
        """Deal out what is left, in steps of about ``events`` events."""
        yield from super().drain_steps(events)
        rest: list[Round] = []
        self._turn(rest)
        yield rest

    def _release(self, entries: list[Entry], signals: list[Round]) -> None:
        self._families.live = True
        dealt = self._dealt
        if len(entries) == 1:
            entry = entries[0]
            family, shown = self._tied.family(entry)
            process = self._process(family, len(entry[2]))
            if shown:
                self._show(entry, process, USUAL, ECHO)
            else:
                dealt[process].append((entry[0], USUAL, entry[2], entry[3], entry[4]))
            self._bytes += len(entry[2])
        else:
            self._release_together(entries)
        if self._bytes >= ROUND_BYTES:
            self._turn(signals)

    def _release_together(self, entries: list[Entry]) -> None:
        """Deal out events of one time; those of one name are numbered in common, so their processes see them all."""
        owners: list[tuple[int, bool]] = []
        for entry in entries:
            family, shown = self._tied.family(entry)
            owners.append((self._process(family, len(entry[2])), shown))
            self._bytes += len(entry[2])
        sharing = _sharing(entries, [owner for owner, _ in owners])
        for entry, (owner, shown), others in zip(entries, owners, sharing, strict=True):
            for process in range(len(self._dealt)):
                if process == owner:
                    role = USUAL
                elif shown:
                    role = ECHO
                elif process in others:
                    role = NAMED
                else:
                    continue
                self._dealt[process].append((entry[0], role, entry[2], entry[3], entry[4]))

    def _take_late(self, entry: Entry, signals: list[Round]) -> None:
        family, shown = self._families.of(entry[0], entry[2], entry[3], entry[4])
        self._deal_late(entry, family, signals, shown=shown)

    def _late(self, event: Event, signals: list[Round]) -> None:
        entry: Entry = (event.ets_ns, 0, own(event.payload), event.position, 0)
        family, shown = self._families.of(event.ets_ns, entry[2], event.position, 0)
        self._deal_late(entry, family, signals, shown=shown)

    def _deal_late(self, entry: Entry, family: _Family, signals: list[Round], *, shown: bool) -> None:
        self._show(entry, self._process(family, len(entry[2])), LATE, LATE_ECHO if shown else -1)
        self._bytes += len(entry[2])
        if self._bytes >= ROUND_BYTES:
            self._turn(signals)

    def _show(self, entry: Entry, owner: int, role: int, others: int) -> None:
        for process, dealt in enumerate(self._dealt):
            shown_as = role if process == owner else others
            if shown_as >= 0:
                dealt.append((entry[0], shown_as, entry[2], entry[3], entry[4]))

    def _process(self, family: _Family, size: int) -> int:
        head = _head(family)
        process = head.process
        if process < 0:
            process = head.process = self._loads.index(min(self._loads))
        self._loads[process] += size
        return process

    def _turn(self, signals: list[Round]) -> None:
        if self._bytes:
            signals.append((self._order.remembers, self._dealt))
            self._dealt = [[] for _ in self._loads]
            self._bytes = 0


def _sharing(entries: list[Entry], owners: list[int]) -> list[set[int]]:
    """Return for each entry the processes that have one of its name."""
    nobody: list[set[int]] = [set() for _ in entries]
    if len(set(owners)) == 1:
        return nobody
    by_name: dict[bytes, list[int]] = {}
    for number, entry in enumerate(entries):
        for name in set(_names(entry[2])):
            by_name.setdefault(name, []).append(number)
    sharing = nobody
    for numbers in by_name.values():
        if len(numbers) > 1:
            processes = {owners[number] for number in numbers}
            for number in numbers:
                sharing[number] |= processes
    return sharing


def _names(text: bytes) -> list[bytes]:
    """Return what may be the ``mid`` that stands in ``text``."""
    names: list[bytes] = []
    at = text.find(b'"mid"')
    while at >= 0:
        start = text.find(b'"', at + 5)
        names.append(text[start : text.find(b'"', start + 1)])
        at = text.find(b'"mid"', at + 5)
    return names
