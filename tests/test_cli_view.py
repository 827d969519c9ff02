"""``sunbird-otel view``, ``rules``, and what each ``--help`` teaches."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import session, write
from typer.testing import CliRunner, Result

from sunbird_otel import __version__
from sunbird_otel.cli._app import app


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_a_tree(here: Path) -> None:
    write(here / "a.jsonl", session())
    done = call("view", "a.jsonl")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "app" in done.stdout
    assert "sunbird.interact x2" in done.stdout
    assert "\x1b" not in done.stdout


def test_events_one_by_one_and_a_limit(here: Path) -> None:
    write(here / "a.jsonl", session(touches=5))
    assert call("view", "a.jsonl", "--show-events").stdout.count("sunbird.interact") == 5
    limited = call("view", "a.jsonl", "--show-events", "--limit", "3").stdout
    assert limited.count("sunbird.interact") < 5


def test_one_session(here: Path) -> None:
    write(here / "a.jsonl", [*session(1), *session(2)])
    both = call("view", "a.jsonl").stdout
    one = call("view", "a.jsonl", "--session", "session-1")
    assert both.count("trace ") == 2
    assert one.stdout.count("trace ") == 1
    none = call("view", "a.jsonl", "--session", "other")
    assert none.exit_code == 0
    assert "no session begins with 'other'; there are session-1, session-2." in none.stderr


def test_refused_events_are_told(here: Path) -> None:
    write(here / "a.jsonl", [*session(), {**session()[2], "ets": "yesterday"}])
    assert "invalid_value" in call("view", "a.jsonl").stdout


def test_a_page(here: Path) -> None:
    write(here / "a.jsonl", session())
    write(here / "b.jsonl", session(2))
    done = call("view", "a.jsonl", "b.jsonl", "--html", "pages/flows.html", "--report", "report.json")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "pages/flows.html shows 4 spans; open it in a browser." in done.stderr
    page = Path("pages/flows.html").read_text()
    assert re.search("<title>.*a.jsonl and 1 more.*</title>", page)
    assert json.loads(Path("report.json").read_text())["signals"]["spans"] == 4
    assert call("view", "a.jsonl", "b.jsonl", "--html", "-", "-q").stdout == page


def test_the_rules_in_force() -> None:
    done = call("rules")
    assert done.exit_code == 0
    assert "Rules in force: standard" in done.stdout
    assert "Rules in force: field" in call("rules", "--rules", "field").stdout


def test_a_good_rule_file_says_what_it_does(here: Path) -> None:
    (here / "quiz.toml").write_text(
        """
        [workflow]
        name = "quiz"
        title = "Quiz"
        flows = ["quiz"]
        marked_by_flows = ["quiz"]

        [flows.quiz]
        summary = "one quiz"
        opens = [{ eid = "START", "edata.type" = ["quiz"] }]
        closes = [{ eid = "END", "edata.type" = ["quiz"] }]
        pair = [["edata.type", "object.id"]]
        parents = ["root", "session"]
        holds = ["*"]
        """
    )
    done = call("rules", "check", "quiz.toml")
    assert (done.exit_code, done.stdout) == (0, "quiz.toml is good: adds the workflow quiz; adds the flow quiz.\n")
    assert "quiz" in call("rules", "--rules", "quiz.toml").stdout


def test_a_bad_rule_file_is_refused_with_its_line(here: Path) -> None:
    (here / "bad.toml").write_text("[workflow]\nnam = 'x'\n")
    done = call("rules", "check", "bad.toml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "bad.toml:2: " in done.stderr


def test_version() -> None:
    assert call("--version").stdout == f"sunbird-otel {__version__}\n"


@pytest.mark.parametrize("command", [(), ("replay",), ("check",), ("view",), ("rules",)])
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    done = call(*command, "--help")
    assert done.exit_code == 0
    assert f"sunbird-otel {' '.join(command)}".strip() in done.stdout
    assert "[cyan]" not in done.stdout
    assert "[/" not in done.stdout


@pytest.mark.parametrize("command", ["replay", "check", "view"])
def test_help_names_the_shared_options(command: str) -> None:
    told = call(command, "--help").stdout
    shared = {"--rules", "--policy", "--lateness", "--idle-gap", "--trace-scope", "--report", "--config", "--quiet"}
    assert {option for option in shared if option not in told} == set()
