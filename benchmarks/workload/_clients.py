"""What clients write: START, END, IMPRESSION, INTERACT, SEARCH, and the AUDIT of a login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workload._envelope import CHANNELS, content_id, extracted, hexadecimal, uuid

if TYPE_CHECKING:
    import random

_MOBILE: Final = 0.4
"""Of the visits; the others are a browser's."""
_STARTS: Final = {"app": 51.6, "page": 42.7, "player": 5.7}
"""Per cent of the STARTs."""

_AGENTS: Final = (
    b"Mozilla/5.0 (Linux; Android 13; SM-A145F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Mobile Safari/537",
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.7258.66 Safari/537.36",
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0",
)
_PAGES: Final = (b"page/home", b"page/learn", b"app/search/learning", b"app/careers/home", b"app/profile/dashboard")
_QUERIES: Final = (b"photosynthesis", b"course", b"grade 7 maths", b"fractions", b"teacher training")


@dataclass(slots=True)
class _Visit:
    """A device that is active, and how its events say who they are."""

    mobile: bool
    actor: bytes
    context: bytes
    """Ends before the value of ``cdata``."""


@dataclass(slots=True, kw_only=True)
class _Flow:
    """A page or a play."""

    visit: _Visit
    type: bytes
    mode: bytes
    object: bytes
    cdata: bytes
    since_ms: int


class Clients:
    """``lanes`` devices in the middle of their visits; each method returns an event's text, as of the services."""

    def __init__(self, rng: random.Random, lanes: int) -> None:
        """Begin a visit in each lane."""
        self._rng = rng
        self._visits = [self._visit() for _ in range(lanes)]
        self._open: list[_Flow] = []

    def start(self, ets: int, arrival: int) -> bytes:
        """Return a START: of an app, which begins a new visit and is never ended; of a page; or of a player."""
        rng = self._rng
        (kind,) = rng.choices(tuple(_STARTS), tuple(_STARTS.values()))
        if kind == "app":
            visit = self._visits[rng.randrange(len(self._visits))] = self._visit()
            edata = b'"type":"app","mode":"view","pageid":"","duration":%d.278' % (ets // 1000)
            return self._event(b"START", ets, arrival, _Inside(visit, b'{"ver":"1.0.0"}', b""), edata)
        visit = rng.choice(self._visits)
        play = b""
        if kind == "page":
            type_, mode = (b"TextBook", b"play") if visit.mobile else (b"Page", b"View")
        elif visit.mobile:
            type_, mode = b"content", b"play"
            play = b'{"type":"PlaySession","id":"%b"}' % hexadecimal(rng)
        else:
            type_, mode = b"Player", b"Play"
        flow = _Flow(visit=visit, type=type_, mode=mode, object=self._object(), cdata=play, since_ms=ets)
        self._open.append(flow)
        if len(self._open) > len(self._visits):
            self._open.pop(0)  # it stays without END
        edata = b'"type":"%b","mode":"%b","pageid":"%b","duration":%d.459' % (
            type_, mode, rng.choice(_PAGES), ets // 1000,
        )  # fmt: skip
        return self._event(b"START", ets, arrival, _Inside(visit, flow.object, play), edata)

    def end(self, ets: int, arrival: int) -> bytes:
        """Return the END of a flow that is open, or an IMPRESSION when there is none."""
        if not self._open:
            return self.impression(ets, arrival)
        flow = self._open.pop(self._rng.randrange(len(self._open)))
        seconds, ms = divmod(ets - flow.since_ms, 1000)
        edata = b'"type":"%b","mode":"%b","pageid":"%b","duration":%d.%03d' % (
            flow.type, flow.mode, self._rng.choice(_PAGES), seconds, ms,
        )  # fmt: skip
        return self._event(b"END", ets, arrival, _Inside(flow.visit, flow.object, flow.cdata), edata)

    def impression(self, ets: int, arrival: int) -> bytes:
        """Return an IMPRESSION."""
        page = self._rng.choice(_PAGES)
        edata = b'"pageid":"%b","type":"%b","uri":"%b?primaryCategory=Learning%%20Resource&batchId=%d"' % (
            page, page.partition(b"/")[0], page, self._rng.randrange(10**6),
        )  # fmt: skip
        return self._event(b"IMPRESSION", ets, arrival, self._somewhere(), edata)

    def interact(self, ets: int, arrival: int) -> bytes:
        """Return an INTERACT."""
        edata = b'"type":"click","subtype":"cardSearch","id":"%b","pageid":"%b"' % (
            content_id(self._rng), self._rng.choice(_PAGES),
        )  # fmt: skip
        return self._event(b"INTERACT", ets, arrival, self._somewhere(), edata)

    def search(self, ets: int, arrival: int) -> bytes:
        """Return a SEARCH, with a size that the pipeline has turned into a float."""
        rng = self._rng
        edata = (
            b'"query":"%b","filters":{"visibility":["Default"],"primaryCategory":["Course","Learning Resource"]},'
            b'"size":%d.0,"topn":[{"identifier":"%b"},{"identifier":"%b"}]'
            % (rng.choice(_QUERIES), rng.randrange(500), content_id(rng), content_id(rng))
        )
        return self._event(b"SEARCH", ets, arrival, self._somewhere(), edata)

    def login(self, ets: int, arrival: int) -> bytes:
        """Return the AUDIT of a login, against the schema as web clients write it."""
        edata = b'"type":"Created","props":"Login","state":{},"prevstate":"","duration":""'
        return self._event(b"AUDIT", ets, arrival, self._somewhere(), edata)

    def _visit(self) -> _Visit:
        rng = self._rng
        channel = rng.choice(CHANNELS)
        mobile = rng.random() < _MOBILE
        if mobile:
            context = (
                b'{"channel":"%b","pdata":{"id":"prod.sunbird.app","ver":"6.0.1","pid":"sunbird.app"},"env":"home",'
                b'"sid":"%b","did":"%040x","rollup":{"l1":"%b"},"cdata":'
                % (channel, uuid(rng), rng.getrandbits(160), channel)
            )
        else:
            context = (
                b'{"channel":"%b","pdata":{"id":"prod-web-ui","ver":"1.0.0","pid":"%b"},"env":"prod","sid":"","did":"%b",'
                b'"rollup":{},"cdata":' % (channel, rng.choice(_AGENTS), hexadecimal(rng))
            )
        return _Visit(mobile, b'{"id":"%b","type":"User"}' % uuid(rng), context)

    def _object(self) -> bytes:
        return b'{"ver":"1.0","id":"%b","type":"Content"}' % content_id(self._rng)

    def _somewhere(self) -> _Inside:
        return _Inside(self._rng.choice(self._visits), self._object(), b"")

    def _event(self, eid: bytes, ets: int, arrival: int, inside: _Inside, edata: bytes) -> bytes:
        visit = inside.visit
        rest = b'"mid":"%b:%b","actor":%b,"context":%b[%b]},"object":%b,"tags":[],"edata":{%b}' % (
            eid, hexadecimal(self._rng), visit.actor, visit.context, inside.cdata, inside.object, edata,
        )  # fmt: skip
        return extracted(eid, ets, arrival, rest)


@dataclass(slots=True)
class _Inside:
    """What an event is about."""

    visit: _Visit
    object: bytes
    cdata: bytes
