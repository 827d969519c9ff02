"""What has to be done by a certain time, though it may not heed that."""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_time(flush: Callable[[], bool], deadline: float, failed: Callable[[], None]) -> bool:
    """Tell whether ``flush`` was done by ``deadline``. The SDK's own processors do not heed the time they get.

    Args:
        flush: What is to be done; the interface asks for a bool, older processors return nothing when all is well.
        deadline: By the monotonic clock.
        failed: Called when it raises.
    """
    done: list[bool] = []

    def run() -> None:
        try:
            done.append(flush() is not False)
        except Exception:  # noqa: BLE001 - nothing may reach the user's code
            failed()

    worker = threading.Thread(target=copy_context().run, args=(run,), name="sunbird-otel-flush", daemon=True)
    try:
        worker.start()
    except RuntimeError:  # the interpreter is on its way out, and starts no more threads
        run()
    else:
        worker.join(max(0.0, deadline - time.monotonic()))
    return done == [True]
