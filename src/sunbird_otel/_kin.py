"""What can bring two events together: the ids by which the engine finds lanes, sessions, requests and producers.

Who shares an id, at whatever number of removes, is one family, and a family must go to one process. The ids are those
that the rules in force name. In the usual case the context is known again by its text, and ids in ``edata`` are found
by their names, without parsing; there, more may be taken for an id than is one, which makes families larger, never
wrong. What is not written as usual is parsed.

The run of a service concerns every request of its producer, and so of all users. It makes no family: the few events
that open and close it are shown to every process, as an echo (see :class:`sunbird_otel._event.Event`), and one of them
writes it. Where runs are more than a link, under the policy ``repair`` and with ``members = "child"``, and for jobs,
what may stand in a run belongs to the family of its producer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sunbird_otel._apart import documents
from sunbird_otel._decode import decode, revive
from sunbird_otel._document import Document, Lines
from sunbird_otel._envelope import UNUSUAL, read_ties
from sunbird_otel._event import ANONYMOUS, Event
from sunbird_otel._line import LineReader
from sunbird_otel._paths import text_at
from sunbird_otel._rules import ANY, Closes, Match, Opens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel._context import Context
    from sunbird_otel._findings import Position
    from sunbird_otel._limits import Limits
    from sunbird_otel._rules import FlowRule, Rules

# What stands before an id, so that ids of different kinds are different keys.
_DEVICE: Final = b"d"
_SESSION: Final = b"s"
_ACTOR: Final = b"a"
_REQUEST: Final = b"r"
_RUNS: Final = b"p"

_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")

# What JSON writes as it is, but for escapes by number.
_NAME: Final = re.compile(rb"[0-9A-Za-z_.-]+")
_QUOTES: Final = 2


class Kin:
    """What ties an event to others.

    Its ids, that of its lane first; the producer in whose runs it may stand, empty if in none; the producer for which
    it opens or closes a run that is more than a link; and whether every process must see it.
    """

    __slots__ = ("follows", "keys", "leads", "shown")

    def __init__(self, keys: list[bytes], follows: bytes, leads: bytes, *, shown: bool) -> None:
        """Take the parts."""
        self.keys = keys
        self.follows = follows
        self.leads = leads
        self.shown = shown


class _Around:
    """What a context says: the kin of all that has nothing else, and how ids of those are made that have."""

    __slots__ = ("actor_ends", "following", "plain")

    def __init__(self, keys: list[bytes], actor_ends: bytes, producer: bytes) -> None:
        self.plain = Kin(keys, b"", b"", shown=False)
        self.following = Kin(keys, producer, b"", shown=False)
        self.actor_ends = actor_ends
        """How the key of an actor ends; empty where a device or a session stands in its place."""


class KinReader:
    """Reads the :class:`Kin` of events from their texts.

    Args:
        rules: The rules in force.
        policy: The policy in force.
        limits: Those of the bridge.
    """

    def __init__(self, rules: Rules, policy: str, limits: Limits) -> None:
        """Find out which ids the rules name."""
        self._rules = rules
        self._limits = limits
        self._lines = LineReader(limits)
        self._repairs = policy == "repair"
        self._fields: dict[bytes, tuple[bytes, bool]] = {}
        self._inner: list[tuple[list[str], bytes, bool]] = []  # paths inside the context
        self._types: dict[str, bytes] = {}  # of cdata, as they are compared
        self._parses_all = False
        self._add((path for flow in rules.flows for path in flow.joins), _SESSION)
        self._add((path for flow in rules.gatherers for path in flow.gathers_by), _REQUEST)
        names = b"|".join(re.escape(name) for name in self._fields)
        self._named = re.compile(b'"(' + names + rb')"(?::("[^"\\\x80-\xff]*+"))?') if names else None
        runs = [rule for rule in rules.flows if rule.scope == "producer"]
        self._follows_all = any(rule.members == "child" or (rule.members and self._repairs) for rule in runs)
        self._following = frozenset(eid for rule in runs if rule.members != "link" for eid in rule.holds)
        self._parsed: dict[str, list[re.Pattern[bytes]]] = {}
        for rule in runs:
            for match in (*rule.opens, *rule.closes):
                self._parsed.setdefault(match.eid, []).append(_hint(match))
        # Under repair, what needs a run and has none gets one.
        self._making = frozenset(
            eid for eid in rules.inside_only if self._repairs and any(h.scope == "producer" for h in rules.homes(eid))
        )
        for eid in self._making:
            self._parsed[eid] = [re.compile(b"")]

    def _add(self, paths: Iterable[str], kind: bytes) -> None:
        for path in paths:
            inner = path.removeprefix("uuid(").removesuffix(")")
            root, _, rest = inner.partition(".")
            uuid_only = inner != path
            if root == "cdata":
                type_ = rest.casefold()
                # One id may name a session and a request: then it is read with care.
                self._parses_all |= self._types.setdefault(type_, kind) != kind
            elif root == "context":
                # The session of the context is a key in any case.
                if rest != "sid" or kind != _SESSION:
                    self._inner.append((rest.split("."), kind, uuid_only))
            else:
                name = _bytes(rest if root == "params" else rest.rpartition(".")[2])
                wanted = (kind, uuid_only)
                self._parses_all |= root not in {"edata", "params"} or not _NAME.fullmatch(name)
                self._parses_all |= self._fields.setdefault(name, wanted) != wanted

    def read(self, text: bytes, ets_ns: int, place: str | Position | None, line: int) -> Kin:
        """Return the kin of the event of an :data:`~sunbird_otel._order.Entry`."""
        kin = self._quick(text)
        if kin is not None:
            return kin
        if not isinstance(place, str):
            return self._of_event(revive(text, ets_ns, place))
        event = self._lines.event(text, ets_ns)
        if event is not None:
            return self._of_event(event)
        # No event in normal form, perhaps several: whatever comes of it stays together.
        found = [
            self._of_event(item)
            for document in documents(Lines(place, line, [text]), self._limits)
            if isinstance(document, Document)
            for item in decode(document.data, None, self._limits, parsed=document.value)
            if isinstance(item, Event)
        ]
        if len(found) == 1:
            return found[0]
        return Kin(
            [key for kin in found for key in kin.keys],
            next((kin.follows for kin in found if kin.follows), b""),
            next((kin.leads for kin in found if kin.leads), b""),
            shown=False,
        )

    def _quick(self, text: bytes) -> Kin | None:  # noqa: C901, PLR0911, PLR0912 - one look after the other, no calls
        """Read the ids without parsing; None when they are not written as usual."""
        if self._parses_all:
            return None
        try:
            ties = read_ties(text)
        except UNUSUAL:
            return None
        eid: str = ties.eid
        hints = self._parsed.get(eid)
        if hints is not None and (not text.isascii() or any(hint.search(text) for hint in hints)):
            return None
        context = self._lines.context(b"" + ties.context)
        if context is None:
            return None
        around: _Around | None = context.kin
        if around is None:
            around = context.kin = self._around(context)
        keys: list[bytes] = []
        if around.actor_ends:
            actor: str = ties.actor.id
            if actor.casefold() not in ANONYMOUS:
                keys.append(_ACTOR + actor.encode() + around.actor_ends)
        if self._named is not None:
            part: bytes = b"" + ties.edata
            if part.find(b"\\") >= 0 and part.find(b"\\u00") >= 0:  # `in` takes a number, too, and tries that first
                return None
            for name, value in self._named.findall(part):
                if not value:
                    return None
                kind, uuid_only = self._fields[name]
                if len(value) > _QUOTES and (not uuid_only or _UUID.fullmatch(value, 1, len(value) - 1)):
                    keys.append(kind + value[1:-1])
        follows = self._follows_all or eid in self._following
        if not keys:  # nothing of its own
            return around.following if follows else around.plain
        keys += around.plain.keys
        return Kin(keys, around.following.follows if follows else b"", b"", shown=False)

    def _around(self, context: Context) -> _Around:
        keys: list[bytes] = []
        if context.did:
            keys.append(_DEVICE + _bytes(context.did))
        if context.sid:
            keys.append(_SESSION + _bytes(context.sid))
        actor_ends = b"" if keys else _bytes(f"\0{context.channel}\0{context.pdata_id}")
        for entry in context.cdata:
            kind = self._types.get(entry["type"].casefold())
            if kind is not None and entry["id"]:
                keys.append(kind + _bytes(entry["id"]))
        for names, kind, uuid_only in self._inner:
            id_ = _bytes(text_at(context.value, names))
            if id_ and (not uuid_only or _UUID.fullmatch(id_)):
                keys.append(kind + id_)
        return _Around(keys, actor_ends, _producer_key(context.pdata_id, context.pdata_pid))

    def _of_event(self, event: Event) -> Kin:
        rules = self._rules
        keys: list[str] = []
        if event.context.did:
            keys.append(f"d{event.context.did}")
        if event.context.sid:
            keys.append(f"s{event.context.sid}")
        if not keys and event.actor_id.casefold() not in ANONYMOUS:
            keys.append(f"a{event.actor_id}\0{event.context.channel}\0{event.context.pdata_id}")
        keys += [f"s{session}" for session in rules.session_ids.all(event)]
        if request := rules.request_id.first(event):
            keys.append(f"r{request}")
        producer = _producer_key(event.context.pdata_id, event.context.pdata_pid)
        kin = [_bytes(key) for key in keys]
        follows = producer if self._follows_all or event.eid in self._following else b""
        role = rules.role(event)
        rule: FlowRule | None = role.rule if isinstance(role, (Opens, Closes)) else None
        if event.eid in self._making or (rule is not None and rule.scope == "producer"):
            if rule is not None and rule.members == "link" and not self._repairs:
                return Kin([*kin, _RUNS + producer], follows, b"", shown=True)
            return Kin(kin, follows, producer, shown=False)
        return Kin(kin, follows, b"", shown=False)


def _producer_key(pdata_id: str, pdata_pid: str) -> bytes:
    return _bytes(f"{pdata_id}\0{pdata_pid}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hint(match: Match) -> re.Pattern[bytes]:
    """Return a pattern that every text has which ``match`` fits."""
    for _, values in match.where:
        if ANY not in values and all(value.isascii() and value.isalpha() for value in values):
            return re.compile(b'"(?i:' + b"|".join(sorted(value.encode() for value in values)) + b')"')
    return re.compile(b"")
