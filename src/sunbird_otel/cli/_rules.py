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
    """Say what the rule files do, laid upon the rules in force; a bad file raises RuleError."""
    before = Rules.load(*settings.rules)
    rules = Rules.load(*settings.rules, *paths)
    known = {workflow.name: workflow for workflow in before.workflows}
    changes = (
        ("adds", "workflow", [each.name for each in rules.workflows if each.name not in known]),
        ("replaces", "workflow", [each.name for each in rules.workflows if known.get(each.name, each) != each]),
        ("adds", "flow", [kind for kind in rules.by_kind if kind not in before.by_kind]),
        ("changes", "flow", [kind for kind, rule in rules.by_kind.items() if before.by_kind.get(kind, rule) != rule]),
    )
    told = [
        f"{verb} the {noun}{'s' if len(names) > 1 else ''} {', '.join(names)}" for verb, noun, names in changes if names
    ]
    output = Output()
    output.write(
        f"{', '.join(paths)} {'is' if len(paths) == 1 else 'are'} good: {'; '.join(told) or 'changes nothing'}.\n"
    )
    output.flush()
    return Exit.DONE
