"""Services as their operators start them: processes of their own under ``opentelemetry-instrument``."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from command_line import environment
from otlp_receivers import HttpReceiver

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FOLDER = Path(__file__).resolve().parent / "services"
TIMEOUT = 20
"""Seconds; what takes longer hangs."""

SERVER = 2
"""The kind of a server span in OTLP."""

_INSTRUMENT = Path(sys.executable).parent / "opentelemetry-instrument"


class ReceivedSpan:
    """A span that arrived by OTLP, with its ids as numbers and its attributes as plain values."""

    def __init__(self, message: Any) -> None:
        self.name: str = message.name
        self.kind: int = message.kind
        self.trace_id = int.from_bytes(message.trace_id)
        self.span_id = bytes(message.span_id).hex()
        self.parent = bytes(message.parent_span_id).hex()
        self.attributes = _plain(message.attributes)
        self.events: list[str] = [event.name for event in message.events]
        self.links = {_plain(link.attributes)[names.LINK_TYPE]: int.from_bytes(link.trace_id) for link in message.links}


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


def received(receiver: HttpReceiver) -> list[ReceivedSpan]:
    """Return all spans that have arrived so far."""
    return [
        ReceivedSpan(span)
        for request in list(receiver.got)
        if request.kind == "traces"
        for resource in request.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def variables_for(receiver: HttpReceiver, **more: str) -> dict[str, str]:
    """Return an environment for ``opentelemetry-instrument``; a variable with an empty text is left out."""
    chosen = {
        "OTEL_PYTHON_CONFIGURATOR": "sunbird",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "TRACES": f"{receiver.url}/v1/traces",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "DJANGO_SETTINGS_MODULE": "django_service",
        "PYTHONPATH": os.pathsep.join((str(FOLDER.parent), os.environ.get("PYTHONPATH", ""))),
        **more,
    }
    return {name: text for name, text in environment(**chosen).items() if text}


@dataclass(frozen=True, slots=True)
class Done:
    """What a program that has ended wrote and exported: ``every`` span, and ``spans`` by name."""

    every: list[ReceivedSpan]
    spans: dict[str, ReceivedSpan]
    output: str
    errors: str


def run_program(program: str, **variables: str) -> Done:
    """Run a program of :data:`FOLDER` under ``opentelemetry-instrument``; its spans are looked up by name."""
    with HttpReceiver() as receiver:
        done = subprocess.run(
            [str(_INSTRUMENT), sys.executable, str(FOLDER / program)],
            cwd=FOLDER,
            env=variables_for(receiver, **variables),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )
        every = received(receiver)
        return Done(every, {span.name: span for span in every}, done.stdout, done.stderr)


class Service:
    """A program of :data:`FOLDER`, or another one that writes its port first, under ``opentelemetry-instrument``.

    With ``arguments`` it is started by itself, with these.
    """

    def __init__(self, program: Path, arguments: Sequence[str] | None = None, **variables: str) -> None:
        self.receiver = HttpReceiver()
        python = [sys.executable, str(program)]
        self._command = [str(_INSTRUMENT), *python] if arguments is None else [*python, *arguments]
        self._program = program
        self._variables = variables
        self.errors = ""

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        self._process = subprocess.Popen(
            self._command,
            cwd=self._program.parent,
            env=variables_for(self.receiver, **self._variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the service did not start:\n{self.errors}"
        self._url = f"http://127.0.0.1:{int(line)}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.receiver.__exit__()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self.errors += line

    def get(self, path: str, headers: Mapping[str, str]) -> ReceivedSpan:
        """Send a request whose path is its own; return its server span."""
        request = urllib.request.Request(self._url + path, headers=dict(headers))  # noqa: S310 - the URL is our own
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
            pass
        wanted = path.partition("?")[0]
        return self.wait(lambda span: span.kind == SERVER and wanted in _paths(span))

    def wait(self, fits: Callable[[ReceivedSpan], bool]) -> ReceivedSpan:
        """Return the first span that fits, when it has arrived."""
        give_up = time.monotonic() + TIMEOUT
        while time.monotonic() < give_up:
            for span in received(self.receiver):
                if fits(span):
                    return span
            time.sleep(0.02)
        raise AssertionError(f"no such span among {[span.name for span in received(self.receiver)]}:\n{self.errors}")


def _paths(span: ReceivedSpan) -> str:
    return " ".join(str(span.attributes.get(key, "")) for key in ("http.target", "url.path", "http.url", "url.full"))


class Upstream:
    """Another service: it keeps the headers of what it is asked for, by path."""

    def __init__(self) -> None:
        self.headers: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.headers[self.path].append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
