"""Sunbird's telemetry API inside the test process: it keeps what it gets and answers as it is told."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

SUCCESS = b'{"id":"api.telemetry","ver":"1.0","ets":1700000000000,"params":{},"responseCode":"SUCCESS"}'


@dataclass
class Reply:
    """One HTTP answer; ``hang`` is how many seconds pass before it, and ``silent`` breaks the connection instead."""

    status: int = 200
    body: bytes = SUCCESS
    headers: dict[str, str] = field(default_factory=dict[str, str])
    hang: float = 0.0
    silent: bool = False
    taken: bool | None = None

    @property
    def takes(self) -> bool:
        """Tell whether the API has the batch then."""
        return self.status == 200 if self.taken is None else self.taken


@dataclass
class Call:
    """One request as it arrived, and whether the API took it."""

    headers: dict[str, str]
    body: dict[str, Any]
    taken: bool
    size: int

    @property
    def msgid(self) -> str:
        """The message id of the batch."""
        return str(self.body["params"]["msgid"])

    @property
    def mids(self) -> list[str]:
        """The ids of its events."""
        return [str(event["mid"]) for event in self.body["events"]]


class TelemetryApi:
    """Answers SUCCESS until told otherwise: ``replies`` holds the next answers, ``always`` the standing one."""

    def __init__(self, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.replies: deque[Reply] = deque()
        self.always = Reply()
        self.max_body: int | None = None
        self.released = threading.Event()
        self.ended = False
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/data/v3/telemetry"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def taken(self) -> list[Call]:
        """The requests that were taken, without those whose message id had been seen, as the pipeline does it."""
        first: dict[str, Call] = {}
        for call in self.calls:
            if call.taken:
                first.setdefault(call.msgid, call)
        return list(first.values())

    @property
    def mids(self) -> list[str]:
        """The ids of the events that the pipeline has, in the order of their arrival."""
        return [mid for call in self.taken for mid in call.mids]

    def has_each_once(self, mids: list[str]) -> bool:
        """Tell whether the pipeline has exactly these events, each once."""
        return Counter(self.mids) == Counter(mids)

    def _answer(self, call: Call, length: int) -> Reply:
        reply = self.replies.popleft() if self.replies else self.always
        if self.max_body is not None and length > self.max_body:
            reply = Reply(413, b"too large")
        call.taken = reply.takes
        self.calls.append(call)
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes, and the second would wait for an answer to the first.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                if api.ended:
                    # The connection has outlived the server.
                    self.close_connection = True
                    return
                headers = {key.lower(): value for key, value in self.headers.items()}
                plain = gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw
                reply = api._answer(Call(headers, json.loads(plain), False, len(raw)), len(plain))
                if reply.hang:
                    api.released.wait(reply.hang)
                if reply.silent:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for key, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
                del format, args

        return Handler


def event(number: int = 0, **context: Any) -> dict[str, Any]:
    """Return a small event whose mid tells its number."""
    return {
        "eid": "HEARTBEAT",
        "ets": 1_700_000_000_000 + number,
        "ver": "3.0",
        "mid": f"HEARTBEAT:{number}",
        "actor": {"id": "u1", "type": "User"},
        "context": {"channel": "ch1", "env": "test", "pdata": {"id": "app1", "ver": "1"}, "did": "d1", **context},
        "edata": {},
    }


def mids(*numbers: int) -> list[str]:
    """Return the ids of the events with these numbers."""
    return [f"HEARTBEAT:{number}" for number in numbers]


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until something is true, and tell whether it has become so."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
