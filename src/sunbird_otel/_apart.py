"""Lines that were taken together, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sunbird_otel._document import Document, Lines
from sunbird_otel._findings import Finding, Position
from sunbird_otel._frame import Framer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sunbird_otel._limits import Limits


def documents(lines: Lines, limits: Limits) -> Iterator[Document | Finding]:
    """Yield the documents that stand on ``lines``, and what is wrong with them."""
    at = lines.end - sum(map(len, lines.texts)) - len(lines.texts) * lines.line_end
    for number, text in enumerate(lines.texts, lines.first):
        try:
            value = orjson.loads(text)
        except ValueError:
            framer = Framer(limits, lines.source, line=number, base=at, together=False)
            for items in (framer.feed(text + b"\n"), framer.close()):
                yield from (item for item in items if not isinstance(item, Lines))
        else:
            yield Document(text, Position(lines.source, number), at + len(text), value)
        at += len(text) + lines.line_end
