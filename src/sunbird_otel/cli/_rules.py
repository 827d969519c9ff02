"""``sunbird-otel rules``: the rules in force, and whether a rule file is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel._rules import Rules
from sunbird_otel.cli._exits import Exit
from sunbird_otel.cli._screen import Output
from sunbird_otel.view.rules import render_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel.cli._settings import Settings


def show_rules(settings: Settings) -> Exit:
    """Write the rules in force to the standard output."""
    output = Output()
    output.show(render_rules(Rules.load(*settings.rules)))
    output.flush()
    return Exit.DONE


def check_rules(paths: Sequence[str], settings: Settings) -> Exit:
    """Say that the rule files are good, together and on top of the rules in force; a bad one raises RuleError."""
    before = {workflow.name: workflow for workflow in Rules.load(*settings.rules).workflows}
    rules = Rules.load(*settings.rules, *paths)
    output = Output()
    for path in paths:
        output.write(f"{path} is good.\n")
    new = [workflow.name for workflow in rules.workflows if workflow.name not in before]
    changed = [workflow.name for workflow in rules.workflows if before.get(workflow.name, workflow) != workflow]
    del new, changed
    output.flush()
    return Exit.DONE
