"""The rules as tables for the terminal."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from sunbird_otel import Rules
from sunbird_otel._rules_file import duration_ns
from sunbird_otel.view.rules import idle_gap, render_rules, rules_table


def drawn(rules: Rules, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render_rules(rules))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_flow_stands_in_one_table(width: int) -> None:
    rules = Rules.field()
    text = drawn(rules, width)
    assert text.startswith("Rules in force: field\n")
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text, "nothing is cut"
    starts = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    shown = [flow.kind for workflow in rules.workflows for flow in rules.flows if flow.workflow == workflow.name]
    assert sorted(name for name in starts if name) == sorted(shown)


def test_words_of_a_flow() -> None:
    lines = [line.rstrip(" │") for line in drawn(Rules.field(), 200).splitlines()]
    assert "│ app        │ is            │ one run of the app" in lines
    assert "│            │ tolerates     │ session" in lines
    assert "│            │ may stay open │ always" in lines
    assert "│            │ holds         │ any event, also ASSESS, LEVEL_SET, RESPONSE; not APP_UPDATE" in lines
    assert "│            │ opens         │ START edata.type = any other" in lines


def test_text_of_strangers_cannot_steer_the_terminal() -> None:
    rules = Rules.standard()
    job = dataclasses.replace(rules.by_kind["job"], summary="[red]a\x1b[2Jb")
    flows = tuple(job if flow.kind == "job" else flow for flow in rules.flows)
    changed = Rules(rules.workflows, flows, "standard, \x1b[2J.toml")
    assert "[red]a\\x1b[2Jb" in drawn(changed, 100)
    assert drawn(changed, 100).startswith("Rules in force: standard, \\x1b[2J.toml\n")
    assert len(rules_table(changed, changed.workflows[-1]).columns) == 3


@pytest.mark.parametrize("text", ["90s", "30m", "36h", "7d", "never"])
def test_idle_gaps_as_they_are_written(text: str) -> None:
    job = dataclasses.replace(Rules.standard().by_kind["job"], idle_gap_ns=duration_ns(text))
    assert idle_gap(job) == text
