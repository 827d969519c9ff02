"""What is to happen before the process ends, also where it is a child that another library has forked."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def at_exit(call: Callable[[], None]) -> None:
    """Have ``call`` called when the interpreter ends."""
    atexit.register(call)
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import parent_process, util  # noqa: PLC0415  to be loaded has effects of its own

    if parent_process() is not None:
        # A worker of multiprocessing ends without the functions of atexit, at least in older versions of Python.
        util.Finalize(None, call, exitpriority=0)


def not_at_exit(call: Callable[[], None]) -> None:
    """Take that back."""
    atexit.unregister(call)
