"""What can bring two events together: the ids by which the engine finds lanes, sessions, requests and producers.

Who shares an id, at whatever number of removes, is one family, and a family must go to one process. The ids are those
that the rules in force name. In the usual case they are read from the text, without parsing; there, more may be taken
for an id than is one, which makes families larger, never wrong. What is not written as usual is parsed.

The run of a service concerns every request of its producer, and so of all users. It makes no family: the few events
that open and close it are shown to every process, as an echo (see :class:`sunbird_otel._event.Event`), and one of them
writes it. Where runs are more than a link, under the policy ``repair`` and with ``members = "child"``, and for jobs,
what may stand in a run belongs to the family of its producer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

from sunbird_otel._apart import documents
from sunbird_otel._decode import decode, revive
from sunbird_otel._document import Document, Lines
from sunbird_otel._event import ANONYMOUS, Event
from sunbird_otel._json import is_object
from sunbird_otel._line import LineReader
from sunbird_otel._rules import ANY, Closes, Match, Opens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel._findings import Position
    from sunbird_otel._limits import Limits
    from sunbird_otel._rules import FlowRule, Rules

# What stands before an id, so that ids of different kinds are different keys.
_DEVICE: Final = b"d"
_SESSION: Final = b"s"
_ACTOR: Final = b"a"
_REQUEST: Final = b"r"
_RUNS: Final = b"p"

_TEXT: Final = b':"'
_EMPTY: Final = len(b"[]")
_ENTRY: Final = re.compile(
    rb'\{(?:"id":"([^"\\]*)","type":"([^"\\]*)"|"type":"([^"\\]*)","id":"([^"\\]*)")\}',
)
# As nearly all texts begin: who and where, in any order, with nothing that needs an escape.
_HEAD: Final = re.compile(
    rb'\{(?:,?"(?:eid":"([A-Z_]+)"|ets":[-+.0-9Ee]+|(?:ver|mid)":"[^"\\]*+"'
    rb'|actor":\{(?:,?"(?:id":"([^"\\]*+)"|type":"[^"\\]*+"))*+\}))*+'
    rb',?"context":\{(?:,?"(?:channel":"([^"\\]*+)"|env":"[^"\\]*+"|sid":"([^"\\]*+)"|did":"([^"\\]*+)"|pdata":(\{[^{}\\]*+\})'
    rb'|cdata":(\[[^\[\]\\]*+\])|rollup":\{[^{}\\]*+\}))*+\}'
)
# What of the head may not stand in the rest of the text: it would weigh more there.
_AGAIN: Final = (b'"context"', b'"actor"', b"\\u00")
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")

_MOST_TEXTS: Final = 10_000


Kin: TypeAlias = "tuple[list[bytes], bytes, bytes, bool]"
"""What ties an event to others.

Its ids, that of its lane first; the producer in whose runs it may stand, empty if in none; the producer for which it
opens or closes a run that is more than a link; and whether every process must see it.
"""


class KinReader:
    """Reads :data:`Kin` from the texts of events.

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
        self._fields: list[tuple[bytes, bytes, bool]] = []
        self._types: dict[bytes, bytes] = {}  # of cdata, in lower case
        self._types_seen: dict[bytes, bytes] = {}
        self._parses_all = False
        self._add((path for flow in rules.flows for path in flow.joins), _SESSION)
        self._add((path for flow in rules.gatherers for path in flow.gathers_by), _REQUEST)
        runs = [rule for rule in rules.flows if rule.scope == "producer"]
        self._follows_all = any(rule.members == "child" or (rule.members and self._repairs) for rule in runs)
        self._following = frozenset(eid for rule in runs if rule.members != "link" for eid in rule.holds)
        self._followed = {eid.encode() for eid in self._following}
        self._parsed: dict[bytes, list[re.Pattern[bytes]]] = {}
        for rule in runs:
            for match in (*rule.opens, *rule.closes):
                self._parsed.setdefault(match.eid.encode(), []).append(_hint(match))
        # Under repair, what needs a run and has none gets one.
        self._making = frozenset(
            eid for eid in rules.inside_only if self._repairs and any(h.scope == "producer" for h in rules.homes(eid))
        )
        for eid in self._making:
            self._parsed[eid.encode()] = [re.compile(b"")]
        self._producers: dict[bytes | None, tuple[bytes, bytes]] = {}

    def _add(self, paths: Iterable[str], kind: bytes) -> None:
        for path in paths:
            inner = path.removeprefix("uuid(").removesuffix(")")
            if inner.startswith("cdata."):
                type_ = inner.removeprefix("cdata.").casefold().encode()
                # One id may name a session and a request: then it is read with care.
                self._parses_all |= self._types.setdefault(type_, kind) != kind
                continue
            name = inner.rpartition(".")[2]
            field = (b'"' + name.encode() + b'"', kind, inner != path)
            self._parses_all |= name == "eid" or not name.isascii() or '"' in name or "\\" in name
            # The session of the context is part of the head.
            if path != "context.sid" and field not in self._fields:
                self._fields.append(field)

    def read(self, text: bytes, ets_ns: int, place: str | Position | None, line: int) -> Kin:
        """Return the kin of the event of an :data:`~sunbird_otel._order.Entry`."""
        kin = self._quick(text)
        if kin is not None:
            return kin
        if not isinstance(place, str):
            return self._of_event(revive(text, ets_ns, place))
        event = self._lines.event(text)
        if event is not None and event.ets_ns == ets_ns:
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
        return (
            [key for kin in found for key in kin[0]],
            next((kin[1] for kin in found if kin[1]), b""),
            next((kin[2] for kin in found if kin[2]), b""),
            False,
        )

    def _quick(self, text: bytes) -> Kin | None:  # noqa: C901, PLR0911, PLR0912 - one look after the other, no calls
        """Read the ids without parsing; None when they are not written as usual."""
        head = _HEAD.match(text)
        if head is None or self._parses_all or not head[0].isascii():
            return None
        end = head.end()
        for again in _AGAIN:
            if text.find(again, end) >= 0:
                return None
        eid, actor, channel, sid, did, pdata, cdata = head.groups()
        at = text.find(b'"eid"', end)
        if eid is None:
            eid = text[at + 7 : text.find(b'"', at + 7)]
            if text[at : at + 7] != b'"eid":"' or text.find(b'"eid"', at + 7) >= 0:
                return None
        elif at >= 0:
            return None
        hints = self._parsed.get(eid)
        if hints is not None and (not text.isascii() or any(hint.search(text) for hint in hints)):
            return None
        keys: list[bytes] = []
        if did:
            keys.append(_DEVICE + did)
        if sid:
            keys.append(_SESSION + sid)
        producer = self._producers.get(pdata) or self._producer(pdata)
        if producer is None:
            return None
        if actor and not keys and actor.decode().casefold() not in ANONYMOUS:
            keys.append(b"\0".join((_ACTOR + actor, channel or b"", producer[0])))
        if cdata is not None and len(cdata) > _EMPTY and not self._correlations(cdata, keys):
            return None
        for name, kind, uuid_only in self._fields:
            at = text.find(name, end)
            if at < 0:
                continue
            start = at + len(name) + 2
            if text[start - 2 : start] != _TEXT or text.find(name, start) >= 0:
                return None
            value = text[start : text.find(b'"', start)]
            if not value.isascii() or b"\\" in value:
                return None
            if value and (not uuid_only or _UUID.fullmatch(value)):
                keys.append(kind + value)
        if not self._follows_all and eid not in self._followed:
            return keys, b"", b"", False
        return keys, producer[1], b"", False

    def _correlations(self, cdata: bytes, keys: list[bytes]) -> bool:
        """Add what ``cdata`` name; tell whether they are written as usual."""
        entries = _ENTRY.findall(cdata)
        if len(entries) != cdata.count(b"{"):
            return False
        for id_, type_, other_type, other_id in entries:
            name = type_ or other_type
            kind = self._types_seen.get(name)
            if kind is None:
                kind = self._types.get(name.lower(), b"")
                if len(self._types_seen) < _MOST_TEXTS:
                    self._types_seen[name] = kind
            if kind and (id_ or other_id):
                keys.append(kind + (id_ or other_id))
        return True

    def _producer(self, part: bytes | None) -> tuple[bytes, bytes] | None:
        """Return the id and the key of the producer that ``part`` tells; None when it is not written as usual."""
        try:
            pdata = orjson.loads(part or b"{}")
        except ValueError:
            return None
        names = (pdata.get("id", ""), pdata.get("pid", "")) if is_object(pdata) else (None, None)
        if not isinstance(names[0], str) or not isinstance(names[1], str):
            return None
        producer = (_bytes(names[0]), _producer_key(names[0], names[1]))
        if len(self._producers) < _MOST_TEXTS:
            self._producers[part] = producer
        return producer

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
                return [*kin, _RUNS + producer], follows, b"", True
            return kin, follows, producer, False
        return kin, follows, b"", False


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
