"""Where to send and how: the standard ``OTEL_EXPORTER_OTLP_*`` variables, read as the specification says.

The variable of one signal (``OTEL_EXPORTER_OTLP_TRACES_...``) wins over the common one. The common endpoint is a base,
to which ``/v1/traces`` and so on are added; that of one signal is used as it is. An empty variable is an unset one.
What is given as an argument wins over the environment.

Two choices of ours. Compression is off unless asked for, as in the specification; for anything but a receiver on the
same machine ``OTEL_EXPORTER_OTLP_COMPRESSION=gzip`` saves most of the traffic. A timeout is in milliseconds, as the
specification says; but the Python SDK counts seconds, and since no receiver answers within 100 ms by agreement, a
number below 100 is read as seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from sunbird_otel._limits import REQUEST_BYTES
from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks.otlp.batch import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from sunbird_otel.sinks.otlp.request import Kind

Protocol: TypeAlias = Literal["http/protobuf", "http/json", "grpc"]
"""The protocols of OTLP."""

_PROTOCOLS: tuple[Protocol, ...] = ("http/protobuf", "http/json", "grpc")
_SIGNALS: tuple[Kind, ...] = ("traces", "metrics", "logs")
_PREFIX = "OTEL_EXPORTER_OTLP_"
_DEFAULT_PORT = {"grpc": 4317, "http/protobuf": 4318, "http/json": 4318}
_SECONDS_BELOW = 100
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where one kind of signal goes. ``endpoint`` is a URL for HTTP, ``host:port`` for gRPC; ``timeout`` in seconds."""

    protocol: Protocol
    endpoint: str
    secure: bool
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0
    gzip: bool = False
    certificate: Path | None = None
    client_key: Path | None = None
    client_certificate: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpSettings:
    """How to deliver.

    ``retry_seconds`` bounds how long one outage holds up the run, ``retry_first`` and ``retry_most`` are the first and
    the longest pause in it (doubling, with jitter); after it, one request is tried every ``probe_seconds`` and
    the others are kept at once. ``queue`` requests wait at most, of at most ``max_items`` and about ``max_bytes``.
    """

    destinations: Mapping[Kind, Destination]
    retry_seconds: float = 60.0
    retry_first: float = 0.5
    retry_most: float = 15.0
    probe_seconds: float = 30.0
    max_items: int = MAX_ITEMS
    max_bytes: int = REQUEST_BYTES
    queue: int = 8

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        *,
        endpoint: str | None = None,
        protocol: str | None = None,
        retry_seconds: float = 60.0,
    ) -> OtlpSettings:
        """Read the standard variables; ``endpoint`` is a base for all signals.

        Raises:
            ConfigError: When a value cannot be used.
        """
        destinations: dict[Kind, Destination] = {
            kind: _destination(_Variables(environ, kind), kind, endpoint, protocol) for kind in _SIGNALS
        }
        return cls(destinations=destinations, retry_seconds=retry_seconds)


@dataclass(frozen=True, slots=True)
class _Variables:
    """The variables as one signal sees them."""

    environ: Mapping[str, str]
    kind: Kind

    def find(self, option: str) -> tuple[str, str]:
        """Return value and name of the variable in force; the value is empty when none is set."""
        common = _PREFIX + option
        for name in (f"{_PREFIX}{self.kind.upper()}_{option}", common):
            if value := self.environ.get(name, "").strip():
                return value, name
        return "", common


def _destination(variables: _Variables, kind: Kind, endpoint: str | None, protocol: str | None) -> Destination:
    chosen = _protocol(variables, protocol)
    if chosen == "grpc":
        address, secure = _grpc_target(variables, endpoint)
    else:
        address = _http_url(variables, kind, endpoint)
        secure = address.startswith("https:")
    certificate = _file(variables, "CERTIFICATE")
    client_key, client_certificate = _file(variables, "CLIENT_KEY"), _file(variables, "CLIENT_CERTIFICATE")
    if (client_key is None) != (client_certificate is None):
        raise ConfigError(
            f"{_PREFIX}CLIENT_KEY and {_PREFIX}CLIENT_CERTIFICATE belong together: only one of them is set for {kind}."
        )
    return Destination(
        protocol=chosen,
        endpoint=address,
        secure=secure,
        headers=_headers(variables),
        timeout=_timeout(variables),
        gzip=_gzip(variables),
        certificate=certificate,
        client_key=client_key,
        client_certificate=client_certificate,
    )


def _protocol(variables: _Variables, given: str | None) -> Protocol:
    value, name = (given, "--protocol") if given else variables.find("PROTOCOL")
    value = (value or _PROTOCOLS[0]).lower()
    if value not in _PROTOCOLS:
        raise ConfigError(f"{name}: expected one of {', '.join(_PROTOCOLS)}, found {value!r}.")
    return value


def _http_url(variables: _Variables, kind: Kind, given: str | None) -> str:
    value, name = (given, "--endpoint") if given else variables.find("ENDPOINT")
    value = value or f"http://localhost:{_DEFAULT_PORT['http/protobuf']}"
    parts = _split(value, name)
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{name}: expected a URL that begins with http:// or https://, found {value!r}."
            + (f" Did you mean http://{value}?" if "://" not in value else "")
        )
    if name == f"{_PREFIX}{kind.upper()}_ENDPOINT":
        return urlunsplit(parts._replace(path=parts.path or "/", fragment=""))
    path = parts.path.rstrip("/")
    if path.endswith(tuple(f"/v1/{other}" for other in _SIGNALS)):
        raise ConfigError(
            f"{name}: expected the base of the receiver, to which /v1/{kind} is added, found {value!r}. "
            f"Leave out {path[path.rindex('/v1/') :]}, or set {_PREFIX}{kind.upper()}_ENDPOINT instead."
        )
    return urlunsplit(parts._replace(path=f"{path}/v1/{kind}", fragment=""))


def _grpc_target(variables: _Variables, given: str | None) -> tuple[str, bool]:
    value, name = (given, "--endpoint") if given else variables.find("ENDPOINT")
    value = value or f"http://localhost:{_DEFAULT_PORT['grpc']}"
    bare = "://" not in value
    parts = _split(f"//{value}" if bare else value, name)
    if not bare and parts.scheme not in ("http", "https"):
        raise ConfigError(f"{name}: expected http://HOST:PORT, https://HOST:PORT or HOST:PORT, found {value!r}.")
    if parts.path.strip("/") or parts.query:
        raise ConfigError(
            f"{name}: expected an address without a path for gRPC, found {value!r}. "
            "For a URL with a path use --protocol http/protobuf."
        )
    if bare:
        insecure, variable = variables.find("INSECURE")
        # The specification: everything but "true" is false.
        if insecure.lower() not in ("", "true", "false"):
            raise ConfigError(f"{variable}: expected true or false, found {insecure!r}.")
        secure = insecure.lower() != "true"
    else:
        secure = parts.scheme == "https"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default = 443 if parts.scheme == "https" else _DEFAULT_PORT["grpc"]
    return f"{host}:{parts.port or default}", secure


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{name}: {url!r} is no URL: {error}.") from None
    if parts.username or parts.password:
        raise ConfigError(
            f"{name}: expected a URL without user and password. Put them into {_PREFIX}HEADERS, "
            "for example authorization=Basic%20..."
        )
    if parts.scheme in ("http", "https", "") and url.startswith((f"{parts.scheme}://", "//")) and not parts.hostname:
        raise ConfigError(f"{name}: expected a host in the URL, found {url!r}.")
    return parts


def _headers(variables: _Variables) -> tuple[tuple[str, str], ...]:
    value, name = variables.find("HEADERS")
    headers: dict[str, str] = {}
    for number, pair in enumerate(value.split(","), 1):
        if not pair.strip():
            continue
        # Values are secrets more often than not, so no message shows one.
        key, equals, text = (part.strip() for part in pair.partition("="))
        key, text = unquote(key), unquote(text)
        if not equals or not _TOKEN.fullmatch(key):
            raise ConfigError(f"{name}: expected key=value, separated by commas; entry {number} is not of that form.")
        if not text.isprintable() or not text.isascii():
            raise ConfigError(f"{name}: the value of {key!r} holds characters that a header cannot carry.")
        # HTTP/2 knows lower case alone, and HTTP does not mind.
        headers[key.lower()] = text
    return tuple(headers.items())


def _timeout(variables: _Variables) -> float:
    value, name = variables.find("TIMEOUT")
    if not value:
        return 10.0
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"{name}: expected a number of milliseconds above 0, found {value!r}.")
    return number if number < _SECONDS_BELOW else number / 1000


def _gzip(variables: _Variables) -> bool:
    value, name = variables.find("COMPRESSION")
    if value.lower() not in ("", "none", "gzip"):
        raise ConfigError(f"{name}: expected gzip or none, found {value!r}.")
    return value.lower() == "gzip"


def _file(variables: _Variables, option: str) -> Path | None:
    value, name = variables.find(option)
    if not value:
        return None
    path = Path(value)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ConfigError(f"{name}: the file {value} cannot be read: {error.strerror}.") from None
