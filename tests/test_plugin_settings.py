"""Settings of the plugin: each one is documented, and what cannot be used is told with its place and stops nothing."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from sunbird_otel.cli._settings import Settings
from sunbird_otel.errors import ConfigError, RuleError
from sunbird_otel.plugin import _settings as settings

if TYPE_CHECKING:
    from pathlib import Path

NONSENSE = " , "


def test_settings_are_read_from_an_environment() -> None:
    found = settings.read({"SUNBIRD_OTEL_POLICY": "repair", "SUNBIRD_OTEL_MAX_OPEN_FLOWS": "1,000"})
    assert (found.policy, found.max_open_flows, found.trace_scope, found.rules) == ("repair", 1000, "session", ())
    assert found.load_rules().profile == "standard"


def test_settings_of_what_is_written() -> None:
    usual = settings.read({}).writing
    assert usual == {
        "max_open_flows": 1_000_000,
        "span_events": 2000,
        "span_bytes": 1_500_000,
        "attribute_bytes": 65_536,
        "pending": False,
        "pending_after": 10.0,
    }
    given = {
        "SUNBIRD_OTEL_MAX_OPEN_FLOWS": "500",
        "SUNBIRD_OTEL_SPAN_EVENTS": "1,000",
        "SUNBIRD_OTEL_SPAN_BYTES": "1MiB",
        "SUNBIRD_OTEL_ATTRIBUTE_BYTES": "2048",
        "SUNBIRD_OTEL_PENDING": "True",
        "SUNBIRD_OTEL_PENDING_AFTER": "1m",
    }
    assert [*settings.read(given).writing.values()] == [500, 1000, 1 << 20, 2048, True, 60.0]


def refusal(variable: str, value: str) -> str:
    """Return what is said of a value; nothing if it is not heeded, or can be used."""
    try:
        settings.read({variable: value})
    except ConfigError as error:
        return str(error)
    return ""


def test_every_setting_is_documented(project: Path) -> None:
    known = {field.name for field in fields(Settings)} | {*settings.read({}).writing}
    refusals = {name: refusal(name, NONSENSE) for name in (f"SUNBIRD_OTEL_{name.upper()}" for name in known)}
    heeded = {name: told for name, told in refusals.items() if told}
    page = (project / "docs" / "plugin-zero-code.md").read_text("utf-8")
    rows = re.findall(r"^\| `(SUNBIRD_OTEL_\w+)` \|", page, re.MULTILINE)
    assert sorted(heeded) == sorted(rows)
    for name, told in heeded.items():
        assert told.startswith(f"the environment variable {name}: expected ")
        assert told.endswith(f"; found {NONSENSE!r}.")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RULES", "field,,x", "expected a text that is not empty; found 'field,,x'"),
        ("POLICY", "mend", "expected annotate, repair or reject; found 'mend'"),
        ("TRACE_SCOPE", "day", "expected session or run; found 'day'"),
        ("MAX_OPEN_FLOWS", "0", "expected a whole number from 1, such as 1,000,000; found '0'"),
        ("SPAN_EVENTS", "many", "expected a whole number from 1, such as 1,000,000; found 'many'"),
        ("SPAN_BYTES", "0", "expected a whole number of bytes"),
        ("ATTRIBUTE_BYTES", "2 keys", "expected a whole number of bytes"),
        ("PENDING", "perhaps", "expected true or false; found 'perhaps'"),
        ("PENDING_AFTER", "soon", "expected a whole number and a unit"),
        ("CONFIG", "nowhere.toml", "nowhere.toml could not be read: No such file or directory"),
    ],
)
def test_a_wrong_setting_names_its_place(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"the environment variable SUNBIRD_OTEL_{name}: {told}"):
        settings.read({f"SUNBIRD_OTEL_{name}": value})


def test_a_long_value_is_told_in_part() -> None:
    with pytest.raises(ConfigError, match=r"found 'x{80}'\."):
        settings.read({"SUNBIRD_OTEL_PENDING": "x" * 1_000})


@pytest.mark.parametrize("by_file", [False, True], ids=["variable", "file"])
def test_rules_that_cannot_be_used_name_their_place(by_file: bool, tmp_path: Path) -> None:
    config = tmp_path / "sunbird.toml"
    config.write_text('rules = ["nowhere.toml"]\npolicy = "repair"\n')
    environ = {"SUNBIRD_OTEL_CONFIG": str(config)}
    if not by_file:
        environ["SUNBIRD_OTEL_RULES"] = "nowhere.toml"
    found = settings.read(environ)
    assert found.policy == "repair"
    with pytest.raises(RuleError) as caught:
        found.load_rules()
    place = f"{config}: rules" if by_file else "the environment variable SUNBIRD_OTEL_RULES"
    assert str(caught.value) == (
        f'{place}: nowhere.toml: no such file; expected "standard", "field" or a rule file; check the path.'
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('policy = "mend"', "policy: expected annotate, repair or reject; found 'mend'."),
        ("max-open-flows = true", "max-open-flows: expected a whole number from 1, such as 1,000,000; found True."),
        ("span-events = 10", "there is no setting 'span-events'; "),
    ],
)
def test_a_wrong_file_is_named_with_its_key(text: str, told: str, tmp_path: Path) -> None:
    config = tmp_path / "sunbird.toml"
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings.read({"SUNBIRD_OTEL_CONFIG": str(config)})
    assert str(caught.value).startswith(f"{config}: {told}")


def test_a_wrong_setting_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    wrong = {"SUNBIRD_OTEL_PENDING": "perhaps", "SUNBIRD_OTEL_POLICY": "repair"}
    assert settings.settings_or_defaults(wrong) == settings.settings_or_defaults({})
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.message == (
        "sunbird-otel: the environment variable SUNBIRD_OTEL_PENDING: expected true or false; found 'perhaps'. "
        "The defaults are used instead."
    )
