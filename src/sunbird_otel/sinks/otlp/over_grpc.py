"""OTLP over gRPC.

The requests are bytes already, so the methods are called by name instead of through the generated stubs, which would
want messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # its stubs lack py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks._text import one_line
from sunbird_otel.sinks.otlp.request import KINDS
from sunbird_otel.sinks.otlp.transport import (
    USER_AGENT,
    Accepted,
    Answer,
    Busy,
    NoPlace,
    Refused,
    TooLarge,
    accepted,
)

if TYPE_CHECKING:
    from sunbird_otel.sinks.otlp.request import Request
    from sunbird_otel.sinks.otlp.settings import Destination

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# The words of grpc-core, grpc-go and grpc-java; there is no code of its own for it.
_SIZE = re.compile(r"larger than (the )?max|exceeds maximum size|message too large", re.IGNORECASE)
# grpc-core's words for a server that answers in something else, HTTP/1 in practice.
_HTTP1 = re.compile(r"http1\.x server|Expected SETTINGS frame", re.IGNORECASE)
_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", re.IGNORECASE)


class GrpcTransport:
    """Calls the export methods of one address."""

    def __init__(self, destination: Destination) -> None:
        self._timeout = destination.timeout
        self._metadata = destination.headers
        self._compression = grpc.Compression.Gzip if destination.gzip else grpc.Compression.NoCompression
        options = (
            ("grpc.primary_user_agent", USER_AGENT),
            # Retries are ours (delivery.py); a channel must not wait for minutes before it connects again.
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            ("grpc.max_send_message_length", -1),
        )
        if destination.secure:
            self._channel = grpc.secure_channel(destination.endpoint, _credentials(destination), options)
        else:
            self._channel = grpc.insecure_channel(destination.endpoint, options)

    def send(self, request: Request) -> Answer:
        """Call once."""
        protocol = KINDS[request.kind]
        # Without serialisers the bytes pass as they are.
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(protocol.method)
        try:
            content = call(request.body, timeout=self._timeout, metadata=self._metadata, compression=self._compression)
        except grpc.RpcError as error:
            return _failure(error)
        try:
            return accepted(request.kind, protocol.response.FromString(content))
        except DecodeError:
            return Accepted(message="the answer is no OTLP response; is this the address of an OTLP receiver?")

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _failure(error: grpc.RpcError) -> Answer:
    if not isinstance(error, grpc.Call):
        return Refused(one_line(str(error)))
    code, details = error.code(), one_line(error.details() or "")
    reason = f"gRPC {code.name}" + (f": {details}" if details else "")
    after = _retry_after(error)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NoPlace(reason)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if _SIZE.search(details):
            return TooLarge(reason)
    elif _HTTP1.search(details):
        return Refused("it speaks HTTP/1, not gRPC: try --protocol http/protobuf")
    # By the specification, RESOURCE_EXHAUSTED is worth another try only when the receiver names a time.
    wanted = code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and after is not None)
    return Busy(reason, after) if wanted and not _UNTRUSTED.search(details) else Refused(reason)


def _retry_after(error: grpc.Call) -> float | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            info = RetryInfo()
            try:
                found = any(detail.Unpack(info) for detail in Status.FromString(value).details)
            except DecodeError:
                return None
            if found:
                delay: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return delay
    return None


def _credentials(destination: Destination) -> grpc.ChannelCredentials:
    files = (destination.certificate, destination.client_key, destination.client_certificate)
    try:
        root, key, chain = (file.read_bytes() if file else None for file in files)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.") from None
    return grpc.ssl_channel_credentials(root, key, chain)
