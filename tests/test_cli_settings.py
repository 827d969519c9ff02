"""Options, environment and configuration file become one record; what cannot be used is named with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sunbird_otel._limits import Limits
from sunbird_otel.cli._quantities import count, duration_ns, size_bytes
from sunbird_otel.cli._settings import Settings, read_settings
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 10**9


def config(folder: Path, text: str) -> str:
    path = folder / "sunbird.toml"
    path.write_text(text)
    return str(path)


def refusal(options: dict[str, Any], environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_settings(options, environ or {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("90s", 90 * SECOND), ("30m", 1800 * SECOND), ("36h", 129_600 * SECOND), ("7d", 604_800 * SECOND), ("0s", 0)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert duration_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "3", "3x", "-3s", "1.5h", "s", "3 s s", "٣s", "9999999999999d", "1e9s", "3M"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("256MiB", 1 << 28), ("1GiB", 1 << 30), ("1 gib", 1 << 30), ("500MB", 5 * 10**8), ("1048576", 1 << 20), ("7b", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "0GiB", "-1", "1.5GiB", "1 potato", "99999999TiB", "MiB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        size_bytes(text)


def test_counts() -> None:
    assert [count(text) for text in ("1", "1000000", "1,000,000", "1_000_000")] == [1, 10**6, 10**6, 10**6]
    for text in ("0", "", "-1", "1,00", "1.0", "many"):
        with pytest.raises(ValueError, match=r".*"):
            count(text)


def test_defaults() -> None:
    settings = read_settings({"rules": None, "policy": None, "quiet": False, "max": []}, {})
    assert settings == Settings()
    assert (settings.policy, settings.lateness, settings.idle_gap, settings.trace_scope) == (
        "annotate",
        None,
        None,
        "session",
    )
    assert (settings.memory, settings.max_open_flows, settings.max) == (1 << 30, 1_000_000, Limits())


def test_command_line_wins_over_environment_over_file(tmp_path: Path) -> None:
    path = config(tmp_path, 'policy = "reject"\nidle-gap = "1m"\ntrace_scope = "run"\nmemory = "1MiB"')
    environ = {"SUNBIRD_OTEL_POLICY": "repair", "SUNBIRD_OTEL_IDLE_GAP": "2m", "SUNBIRD_OTEL_CONFIG": path}
    settings = read_settings({"policy": "annotate"}, environ)
    assert (settings.policy, settings.idle_gap, settings.trace_scope, settings.memory) == (
        "annotate",
        120 * SECOND,
        "run",
        1 << 20,
    )
    assert read_settings({}, environ).policy == "repair"
    assert read_settings({"config": path}, {}).policy == "reject"


def test_every_setting_can_stand_in_the_file(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        """
        rules = ["field", "quiz.toml"]
        lateness = "36h"
        max-open-flows = 500
        max = { event_bytes = "4MiB", nesting_depth = 128 }
        endpoint = "http://collector:4318"
        protocol = "grpc"
        dead-letter = "refused.jsonl"
        undelivered = "kept"
        retry-for = "5s"
        report = "-"
        quiet = true
        """,
    )
    assert read_settings({"config": path}, {}) == Settings(
        rules=("field", "quiz.toml"),
        lateness=36 * 3600 * SECOND,
        max_open_flows=500,
        max=Limits(event_bytes=4 << 20, nesting_depth=128),
        endpoint="http://collector:4318",
        protocol="grpc",
        dead_letter="refused.jsonl",
        undelivered="kept",
        retry_for=5 * SECOND,
        report="-",
        quiet=True,
    )


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    environ = {"SUNBIRD_OTEL_RULES": "field, my rules.toml", "SUNBIRD_OTEL_MAX": "event_bytes=2MiB,batch_events=5"}
    settings = read_settings({}, environ)
    assert settings.rules == ("field", "my rules.toml")
    assert settings.max == Limits(event_bytes=2 << 20, batch_events=5)


def test_an_empty_variable_is_not_given() -> None:
    assert read_settings({}, {"SUNBIRD_OTEL_POLICY": "", "SUNBIRD_OTEL_QUIET": ""}) == Settings()


def test_lateness_all_takes_back_what_the_file_says(tmp_path: Path) -> None:
    path = config(tmp_path, 'lateness = "1h"')
    assert read_settings({"config": path, "lateness": "all"}, {}).lateness is None


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        ({"policy": "foo"}, {}, "--policy: expected annotate, repair or reject; found 'foo'."),
        ({}, {"SUNBIRD_OTEL_TRACE_SCOPE": "day"}, "SUNBIRD_OTEL_TRACE_SCOPE: expected session or run; found 'day'."),
        ({"lateness": "3"}, {}, "--lateness: expected all, or a whole number and a unit, s, m, h or d"),
        ({"idle_gap": "0s"}, {}, "--idle-gap: expected more than nothing"),
        ({"memory": "lots"}, {}, "--memory: expected a whole number of bytes, or one with a unit, such as 256MiB"),
        (
            {"max_open_flows": "0"},
            {},
            "--max-open-flows: expected a whole number from 1, such as 1,000,000; found '0'.",
        ),
        ({"max": ["event_bytes"]}, {}, "--max: expected LIMIT=VALUE, such as event_bytes=4MiB; found 'event_bytes'."),
        ({"max": ["size=1"]}, {}, "--max: expected LIMIT=VALUE with one of the limits event_bytes, "),
        ({"max": ["event_bytes=x"]}, {}, "--max: expected event_bytes=a whole number of bytes"),
        ({}, {"SUNBIRD_OTEL_QUIET": "maybe"}, "SUNBIRD_OTEL_QUIET: expected true or false; found 'maybe'."),
        ({"protocol": "smoke"}, {}, "--protocol: expected http/protobuf, http/json or grpc; found 'smoke'."),
        ({"pending_after": "5s"}, {}, "--pending-after: only a run with --pending shows flows"),
        (
            {"pending_after": "5s", "follow": True},
            {"SUNBIRD_OTEL_PENDING": "no"},
            "--pending-after: only a run with --pending shows flows that are still open; give it, too.",
        ),
        ({"report": " "}, {}, "--report: expected a text that is not empty"),
        ({"output": "o", "endpoint": "http://e"}, {}, "--output writes files and --endpoint is for a receiver"),
        ({"config": "missing.toml"}, {}, "--config: missing.toml could not be read: No such file or directory."),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], environ: dict[str, str], said: str) -> None:
    assert said in refusal(options, environ)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('polici = "x"', "there is no setting 'polici'; did you mean 'policy'?"),
        ("xyz = 1", "there is no setting 'xyz'; there are dead-letter, endpoint, "),
        ("policy = 3", "policy: expected annotate, repair or reject; found 3."),
        ("quiet = 1", "quiet: expected true or false; found 1."),
        ("rules = [3]", "rules: expected a text that is not empty; found 3."),
        ("memory = true", "memory: expected a whole number of bytes"),
        ('idle-gap = "1m"\nidle_gap = "2m"', "'idle_gap' is there twice"),
        ("policy = ", "is not valid TOML: "),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    path = config(tmp_path, text)
    told = refusal({"config": path})
    assert path in told
    assert said in told


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not a text in UTF-8" in refusal({"config": str(path)})


def test_a_folder_on_the_command_line_wins_over_a_receiver_in_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, 'endpoint = "http://collector:4318"\nprotocol = "grpc"')
    settings = read_settings({"config": path, "output": "otlp"}, {})
    assert (settings.output, settings.endpoint, settings.protocol) == ("otlp", None, None)
    settings = read_settings({"config": path}, {"SUNBIRD_OTEL_OUTPUT": "otlp"})
    assert (settings.output, settings.endpoint) == ("otlp", None)


def test_a_preset_time_for_pending_flows_waits_for_a_run_that_shows_them(tmp_path: Path) -> None:
    options = {"follow": True, "pending": False, "pending_after": None}
    environ = {"SUNBIRD_OTEL_PENDING_AFTER": "5s"}
    assert read_settings(options, environ).pending is False
    assert read_settings({**options, "config": config(tmp_path, 'pending-after = "5s"')}, {}).pending is False
    settings = read_settings({**options, "pending": True}, environ)
    assert (settings.pending, settings.pending_after) == (True, 5 * SECOND)
    settings = read_settings({**options, "pending_after": "1s"}, {"SUNBIRD_OTEL_PENDING": "yes"})
    assert (settings.pending, settings.pending_after) == (True, SECOND)


def test_a_receiver_on_the_command_line_wins_over_a_folder_in_the_environment() -> None:
    settings = read_settings({"endpoint": "http://collector:4318"}, {"SUNBIRD_OTEL_OUTPUT": "otlp"})
    assert (settings.output, settings.endpoint) == (None, "http://collector:4318")
