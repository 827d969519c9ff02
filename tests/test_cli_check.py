"""``sunbird-otel check``: findings with their places, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import session, write
from typer.testing import CliRunner, Result

from sunbird_otel._findings import ADVICE
from sunbird_otel.cli._app import app

if TYPE_CHECKING:
    from events import Event


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], catch_exceptions=False)


def findings(*arguments: str) -> list[dict[str, Any]]:
    done = check(*arguments, "--format", "json")
    told: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    assert done.exit_code == (1 if told["findings"] else 0)
    return told["findings"]


def test_nothing_found(here: Path) -> None:
    write(here / "a.jsonl", session())
    done = check("a.jsonl")
    assert (done.exit_code, done.stdout) == (0, "No findings in 6 events.\n")
    assert findings("a.jsonl") == []


def test_a_finding_says_where_what_and_what_to_do(here: Path) -> None:
    events = session()
    events[2]["edata"]["pageid"] = 7
    write(here / "a.jsonl", events)
    assert findings("a.jsonl") == [
        {
            "file": "a.jsonl",
            "line": 3,
            "index": None,
            "mid": events[2]["mid"],
            "code": "schema",
            "path": "$.edata.pageid",
            "expected": "a text",
            "found": "7",
            "advice": ADVICE["schema"],
        }
    ]
    assert check("a.jsonl").stdout.splitlines() == [
        f"a.jsonl:3  INTERACT  {events[2]['mid']}",
        "  schema  $.edata.pageid: expected a text, found 7",
        f"    {ADVICE['schema']}",
        "",
        "1 finding in 6 events",
        f"1  schema  {ADVICE['schema']}",
    ]


def test_every_kind_of_finding(here: Path) -> None:
    first, second = session(1), session(2)
    wrong: Event = {**second[3], "mid": "wrong", "edata": {}}
    events: list[Event | str] = [
        first[0],
        *first[1:],
        first[2],
        *second[:-1],
        wrong,
        {**first[2], "mid": ""},
        "nothing",
    ]
    (here / "batch.json").write_text(json.dumps({"events": events}))
    found = findings("batch.json", "--quiet")
    by_code = {each["code"]: each for each in found}
    assert set(by_code) == {"duplicate", "schema", "missing_field", "not_an_event", "missing_end"}
    assert by_code["duplicate"]["index"] == 6
    assert (by_code["schema"]["mid"], by_code["schema"]["index"]) == ("wrong", 12)
    assert (by_code["missing_field"]["path"], by_code["missing_field"]["index"]) == ("$.mid", 13)
    assert by_code["not_an_event"]["index"] == 14
    assert by_code["missing_end"]["mid"] == second[0]["mid"]
    assert {each["file"] for each in found} == {"batch.json"}


def test_late_events_are_found_with_a_short_lateness(here: Path) -> None:
    events = session()
    write(here / "a.jsonl", [*events[:2], *events[3:], events[2]])
    assert findings("a.jsonl") == []
    assert [(each["code"], each["line"]) for each in findings("a.jsonl", "--lateness", "1s")] == [("late", 6)]


def test_the_rules_decide(here: Path) -> None:
    write(here / "a.jsonl", session()[:-1])
    assert [each["code"] for each in findings("a.jsonl")] == ["missing_end"]
    assert findings("a.jsonl", "--rules", "field") == []


def test_the_findings_of_one_event_stand_under_one_heading(here: Path) -> None:
    events = session()
    events[2]["edata"] = {}
    write(here / "a.jsonl", events)
    told = check("a.jsonl").stdout
    assert told.count("a.jsonl:3") == 1
    assert told.count("expected present, found absent") == 2


def test_the_report_goes_to_a_file(here: Path) -> None:
    write(here / "a.jsonl", session())
    assert check("a.jsonl", "--report", "report.json").exit_code == 0
    assert json.loads(Path("report.json").read_text())["events"]["received"] == 6


def test_foreign_text_is_shown_and_not_obeyed(here: Path) -> None:
    broken = {**session()[2], "mid": "\x1b]0;title\x07[bold]", "ets": "\x1b[2J"}
    write(here / "a.jsonl", [broken])
    told = check("a.jsonl").stdout
    assert "\x1b" not in told
    assert r"\x1b]0;title\x07[bold]" in told
