"""The page for the browser: one file that needs nothing else, and may load nothing else.

The waterfall is drawn by a script of our own: the libraries at hand draw flame charts, without a tree to fold, filters,
a UTC axis or marks for flows that did not end, and would be most of the page.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from sunbird_otel import names
from sunbird_otel._findings import ADVICE
from sunbird_otel.view._marks import MEANINGS, marks_of, refusals
from sunbird_otel.view._trees import build_traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._findings import Finding
    from sunbird_otel._signals import Attributes, AttributeValue, Span
    from sunbird_otel.view._trees import Node

_NS_PER_MS = 1_000_000
# The largest integer that JavaScript's numbers hold exactly.
_SAFE_INTEGER = 2**53 - 1
# The scripts in the order in which they build on each other.
_SCRIPTS = ("time.js", "model.js", "paint.js", "details.js", "controls.js", "main.js")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
# What would end or bend the script element that holds the data.
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def render_html(spans: Sequence[Span], *, title: str, refused: Sequence[Finding] = ()) -> str:
    """Return one self-contained page with a waterfall of ``spans``, pure ASCII but for the title.

    The page's security policy allows its own script and style by their hashes and no request whatever. The spans
    travel as data that the script shows as text, so that markup in an id stays text.
    """
    folder = resources.files("sunbird_otel.view").joinpath("page")
    script = "\n".join(
        ["(() => {", '"use strict";', *(folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS), "})();"]
    )
    style = folder.joinpath("style.css").read_text("utf-8")
    parts = {
        # A file name may hold bytes that are no text; a page cannot.
        "title": html.escape(title.encode("utf-8", "replace").decode("utf-8")),
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "data": _embed(_payload(spans, refused)),
        "script": script,
    }
    template = folder.joinpath("page.html").read_text("utf-8")
    # In one pass, so that nothing put in is read as a place again.
    return _PLACE.sub(lambda place: parts[place[1]], template)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embed(data: dict[str, Any]) -> str:
    """Return JSON in ASCII that no HTML parser can mistake for markup."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


@dataclass(slots=True)
class _Table:
    """Values with their numbers: each is written once, and named by its number after that."""

    rows: list[Any] = field(default_factory=list[Any])
    _numbers: dict[Any, int] = field(default_factory=dict[Any, int])

    def number(self, identity: object, row: object) -> int:
        known = self._numbers.get(identity)
        if known is None:
            known = self._numbers[identity] = len(self.rows)
            self.rows.append(row)
        return known


@dataclass(slots=True)
class _Encoder:
    """Spans as short arrays; times in ms after ``base_ms``, since nanoseconds do not fit JavaScript's numbers."""

    base_ms: int
    texts: _Table = field(default_factory=_Table)
    pairs: _Table = field(default_factory=_Table)
    services: _Table = field(default_factory=_Table)

    def at(self, time_ns: int) -> int | float:
        return _as_ms(time_ns - self.base_ms * _NS_PER_MS)

    def text(self, text: str) -> int:
        return self.texts.number(text, text)

    def attributes(self, attributes: Attributes) -> list[int]:
        return [self._pair(key, value) for key, value in attributes.items()]

    def _pair(self, key: str, value: AttributeValue) -> int:
        # The type belongs to the identity: 1, 1.0 and true are equal to Python.
        identity = tuple(value) if isinstance(value, list) else value
        kind = type(value[0]) if isinstance(value, list) and value else type(value)
        return self.pairs.number((key, kind, identity), [self.text(key), _shown(value)])

    def span(self, node: Node) -> list[Any]:
        """Return parent, id, name, service, start, length, marks, attributes, events, links, note."""
        span = node.span
        service = span.resource
        told: list[Any] = [
            node.parent,
            span.span_id.hex(),
            self.text(span.name),
            self.services.number(service, [service.service_name, service.service_version]),
            self.at(span.start_ns),
            _as_ms(span.end_ns - span.start_ns),
            _marks(span),
            self.attributes(span.attributes),
            [
                [self.text(event.name), self.at(event.time_ns), self.attributes(event.attributes)]
                for event in sorted(span.events, key=lambda event: event.time_ns)
            ],
            [[link.trace_id.hex(), link.span_id.hex(), self.attributes(link.attributes)] for link in span.links],
        ]
        if node.note:
            told.append(node.note)
        return told


def _payload(spans: Sequence[Span], refused: Sequence[Finding]) -> dict[str, Any]:
    base_ms = min((span.start_ns for span in spans), default=0) // _NS_PER_MS
    encoder = _Encoder(base_ms)
    traces = [[trace.trace_id.hex(), [encoder.span(node) for node in trace.nodes]] for trace in build_traces(spans)]
    return {
        "base": base_ms,
        "traces": traces,
        "texts": encoder.texts.rows,
        "pairs": encoder.pairs.rows,
        "services": encoder.services.rows,
        # The page knows no attribute by heart: the keys stand in names.py alone.
        "keys": {
            "session": names.SESSION_ID,
            "device": names.DEVICE_ID,
            "workflow": names.WORKFLOW,
            "type": names.FLOW_TYPE,
            "object": names.OBJECT_ID,
            "mid": names.MID,
        },
        "meanings": {**ADVICE, **MEANINGS},
        "refused": [[each.code, each.count, each.place, each.example] for each in refusals(refused)],
    }


def _marks(span: Span) -> dict[str, Any]:
    marks = marks_of(span)
    told: dict[str, Any] = {
        "unfinished": marks.unfinished,
        "violations": marks.violations,
        "repairs": marks.repairs,
        "synthetic": marks.synthetic,
        "instant": marks.instant,
        "error": marks.error and (span.status_message or "error"),
    }
    return {mark: value for mark, value in told.items() if value}


def _as_ms(time_ns: int) -> int | float:
    whole, rest = divmod(time_ns, _NS_PER_MS)
    return whole if not rest else round(time_ns / _NS_PER_MS, 6)


def _shown(value: AttributeValue) -> AttributeValue:
    """Return the value as JavaScript can hold it; an integer that it would round becomes text."""
    if isinstance(value, list):
        return [str(each) if _too_big(each) else each for each in value]  # type: ignore[return-value]
    return str(value) if _too_big(value) else value


def _too_big(value: object) -> bool:
    return isinstance(value, int) and abs(value) > _SAFE_INTEGER
