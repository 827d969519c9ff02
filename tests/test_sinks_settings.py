"""The standard variables, as the specification says; and readable refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks.otlp.settings import Destination, OtlpSettings

if TYPE_CHECKING:
    from pathlib import Path

    from sunbird_otel.sinks.otlp.request import Kind

P = "OTEL_EXPORTER_OTLP_"


def of(
    variables: dict[str, str] | None = None,
    kind: Kind = "traces",
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
) -> Destination:
    environ = {P + name: value for name, value in (variables or {}).items()}
    return OtlpSettings.from_environment(environ, endpoint=endpoint, protocol=protocol).destinations[kind]


def test_the_defaults_are_a_local_receiver_without_compression() -> None:
    assert of() == Destination(protocol="http/protobuf", endpoint="http://localhost:4318/v1/traces", secure=False)
    assert of(kind="metrics").endpoint == "http://localhost:4318/v1/metrics"
    assert of({"PROTOCOL": "grpc"}) == Destination(protocol="grpc", endpoint="localhost:4317", secure=False)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://host:4318", "http://host:4318/v1/traces"),
        ("http://host:4318/", "http://host:4318/v1/traces"),
        ("https://host/otlp/", "https://host/otlp/v1/traces"),
        ("https://host/otlp?tenant=1", "https://host/otlp/v1/traces?tenant=1"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ],
)
def test_a_common_endpoint_is_a_base(base: str, url: str) -> None:
    assert of({"ENDPOINT": base}).endpoint == url
    assert of(endpoint=base).endpoint == url


def test_the_endpoint_of_a_signal_is_used_as_it_is_and_wins() -> None:
    given = {
        "ENDPOINT": "http://base:1",
        "TRACES_ENDPOINT": "https://other/in",
        "TRACES_HEADERS": "a=1",
        "HEADERS": "b=2",
    }
    assert of(given).endpoint == "https://other/in"
    assert of(given).secure
    assert of(given).headers == (("a", "1"),)
    assert of(given, "metrics").endpoint == "http://base:1/v1/metrics"
    assert of(given, "metrics").headers == (("b", "2"),)
    assert of({"TRACES_ENDPOINT": "http://host"}).endpoint == "http://host/"


def test_arguments_win_over_the_environment_for_every_signal() -> None:
    chosen = of(
        {"TRACES_ENDPOINT": "http://other/x", "TRACES_PROTOCOL": "http/json"}, endpoint="http://mine:9", protocol="grpc"
    )
    assert (chosen.protocol, chosen.endpoint) == ("grpc", "mine:9")


def test_an_empty_variable_is_an_unset_one() -> None:
    assert (
        of(
            {
                "ENDPOINT": "",
                "PROTOCOL": " ",
                "HEADERS": "",
                "TIMEOUT": "",
                "COMPRESSION": "",
                "CERTIFICATE": "",
                "INSECURE": "",
            }
        )
        == of()
    )


@pytest.mark.parametrize(
    ("address", "target", "secure"),
    [
        ("http://host:4317", "host:4317", False),
        ("https://host:443/", "host:443", True),
        ("https://host", "host:443", True),
        ("host:55", "host:55", True),
        ("host", "host:4317", True),
        ("http://[::1]:4317", "[::1]:4317", False),
    ],
)
def test_grpc_addresses(address: str, target: str, *, secure: bool) -> None:
    chosen = of({"PROTOCOL": "grpc", "ENDPOINT": address})
    assert (chosen.endpoint, chosen.secure) == (target, secure)


def test_insecure_counts_only_without_a_scheme() -> None:
    assert not of({"PROTOCOL": "grpc", "ENDPOINT": "host:55", "INSECURE": "true"}).secure
    assert of({"PROTOCOL": "grpc", "ENDPOINT": "https://host:55", "INSECURE": "true"}).secure


def test_headers_are_decoded_and_in_lower_case() -> None:
    given = of({"HEADERS": "Authorization=Basic%20dXNlcjpwdw==, x-tenant = a%2Cb ,,api%2Dkey="}).headers
    assert given == (("authorization", "Basic dXNlcjpwdw=="), ("x-tenant", "a,b"), ("api-key", ""))


@pytest.mark.parametrize(
    ("value", "seconds"), [("10000", 10.0), ("250", 0.25), ("100", 0.1), ("10", 10.0), ("2.5", 2.5)]
)
def test_a_timeout_is_in_milliseconds_unless_that_makes_no_sense(value: str, seconds: float) -> None:
    assert of({"TIMEOUT": value}).timeout == seconds


def test_compression_and_certificates(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("")
    chosen = of(
        {"COMPRESSION": "GZIP", "CERTIFICATE": str(pem), "CLIENT_KEY": str(pem), "CLIENT_CERTIFICATE": str(pem)}
    )
    assert chosen.gzip
    assert (chosen.certificate, chosen.client_key, chosen.client_certificate) == (pem, pem, pem)
    assert not of({"COMPRESSION": "none"}).gzip


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PROTOCOL": "thrift"}, r"OTLP_PROTOCOL: expected one of http/protobuf, http/json, grpc, found 'thrift'"),
        ({"TRACES_PROTOCOL": "udp"}, "OTLP_TRACES_PROTOCOL"),
        ({"ENDPOINT": "localhost:4318"}, "Did you mean http://localhost:4318"),
        ({"ENDPOINT": "ftp://host"}, "begins with http:// or https://"),
        ({"ENDPOINT": "http://"}, "expected a host"),
        ({"ENDPOINT": "http://host:port"}, "is no URL"),
        ({"ENDPOINT": "http://host:4318/v1/traces"}, "Leave out /v1/traces, or set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"ENDPOINT": "http://me:secret@host"}, "without user and password"),
        ({"PROTOCOL": "grpc", "ENDPOINT": "http://host/path"}, "without a path for gRPC"),
        ({"PROTOCOL": "grpc", "ENDPOINT": "ws://host"}, "HOST:PORT"),
        ({"PROTOCOL": "grpc", "ENDPOINT": "host:1", "INSECURE": "yes"}, "expected true or false"),
        ({"HEADERS": "a=1,secret"}, "entry 2 is not of that form"),
        ({"HEADERS": "b d=secret"}, "entry 1 is not of that form"),
        ({"HEADERS": "a=secret%0d%0aX: y"}, "the value of 'a' holds characters"),
        ({"TIMEOUT": "soon"}, "milliseconds above 0, found 'soon'"),
        ({"TIMEOUT": "-5"}, "milliseconds above 0"),
        ({"TIMEOUT": "inf"}, "milliseconds above 0"),
        ({"METRICS_COMPRESSION": "zstd"}, "METRICS_COMPRESSION: expected gzip or none, found 'zstd'"),
        ({"CERTIFICATE": "/no/such.pem"}, "CERTIFICATE: the file /no/such.pem cannot be read: No such file"),
        ({"CLIENT_KEY": "/dev/null"}, "belong together"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_name_and_no_secret(variables: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as failure:
        of(variables)
    assert "secret" not in str(failure.value)
