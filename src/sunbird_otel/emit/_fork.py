"""What a process must know of its forks: in which of them something was made."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """Something that a child process must not go on using as the fork has left it."""

    def renew(self) -> None:
        """Start again: locks may be held by threads that the child does not have."""


class _Process:
    """This process: how many forks lie behind it, and what to renew in the next."""

    __slots__ = ("__weakref__", "generation", "things")

    def __init__(self) -> None:
        self.generation = 0
        self.things: WeakSet[Renewable] = WeakSet()

    def forked(self) -> None:
        """Take notice that this is the child of a fork."""
        self.generation += 1
        for thing in list(self.things):
            thing.renew()


_PROCESS = _Process()
os.register_at_fork(after_in_child=_PROCESS.forked)


def generation() -> int:
    """Return how many forks lie between the first process and this one."""
    return _PROCESS.generation


def renew_after_fork(thing: Renewable) -> None:
    """Have ``thing`` renewed in every child process; it is not kept alive by that."""
    _PROCESS.things.add(thing)
