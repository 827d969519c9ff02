"""How a service of a test says where it listens."""

from __future__ import annotations

import socket


def announce(port: int) -> None:
    """Write the port as the first line of the standard output, which the test waits for."""
    print(port, flush=True)  # noqa: T201 - see above


def listening_socket() -> socket.socket:
    """Return a socket that takes connections from now on, and announce its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    announce(listener.getsockname()[1])
    return listener
