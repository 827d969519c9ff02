"""A batch of events: what is sent, kept and refused as one, under one message id."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Origin(Enum):
    """Where a batch was before it was sent."""

    MEMORY = "memory"
    SPOOL = "spool"
    """On the disk, by this process."""
    FOUND = "found"
    """On the disk, by an earlier or another process."""


@dataclass(slots=True, eq=False)
class Batch:
    """Events as lines of JSON without their ends.

    ``msgid`` stays the same however often the batch is sent, so that the pipeline can tell a second time from the
    first. ``number`` counts the batches of this process, ``opened`` is the monotonic time of the first event in
    seconds, ``size`` the bytes of all lines. ``path`` is the batch's file in the spool, if it has one, ``owner`` whose
    that is, ``journal`` that file while lines are added to it, and ``on_disk`` tells that every line stands in it.
    ``settled`` batches have been accounted for.
    """

    msgid: str
    number: int = 0
    opened: float = 0.0
    lines: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    origin: Origin = Origin.MEMORY
    path: Path | None = None
    owner: str = ""
    journal: int | None = None
    on_disk: bool = False
    settled: bool = False

    def of(self, lines: list[bytes], msgid: str | None = None) -> Batch:
        """Return a batch with some of these events, in memory alone; its id is this one's unless another is given."""
        return Batch(msgid or self.msgid, self.number, self.opened, lines, sum(map(len, lines)), self.origin)

    def halves(self) -> tuple[Batch, Batch]:
        """Return two batches with half of the events each.

        Their ids follow from this one's, so that cutting it again after a crash makes the same two.
        """
        middle = len(self.lines) // 2
        parent = uuid.UUID(self.msgid)
        return (
            self.of(self.lines[:middle], str(uuid.uuid5(parent, "1"))),
            self.of(self.lines[middle:], str(uuid.uuid5(parent, "2"))),
        )


def new_batch(number: int, opened: float) -> Batch:
    """Return an empty batch with an id of its own."""
    return Batch(str(uuid.uuid4()), number, opened)
