"""The examples tell what ``examples/README.md`` says of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from bridge_run import check_balance, run
from span_tree import tree

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = {
    "mobile-app": (
        "app > session > (collection > collection!unclosed_child > (player, player), qr)",
        {"duplicate": 1, "unclosed_child": 1},
    ),
    "portal": (
        "~sunbird.audit | session > (player, player)",
        {"duplicate": 1, "repeated_end": 1},
    ),
    "editor": (
        (
            "session > (request, ~sunbird.audit, editor > "
            "(~sunbird.search, ~sunbird.search, request, ~sunbird.audit, player, request, request, ~sunbird.audit))"
        ),
        {"duplicate": 1},
    ),
    "backend-service": (
        (
            "service | ~sunbird.log | request | request | request | request | request | request"
            " | request > ~sunbird.log | ~sunbird.log | request"
        ),
        {"duplicate": 1},
    ),
    "analytics-job": (
        "job | job | ~sunbird.job_log!event_outside_flow | job | job",
        {"duplicate": 1, "event_outside_flow": 1},
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_shows_its_flows_and_its_defects(name: str, project: Path, tmp_path: Path) -> None:
    expected_tree, expected_findings = EXAMPLES[name]
    output = run(project / "examples" / "telemetry" / f"{name}.jsonl", {}, tmp_path)
    check_balance(output)
    assert tree(output.spans, like="!") == expected_tree
    assert Counter(finding.code for finding in output.findings) == expected_findings


def test_every_example_is_described(project: Path) -> None:
    text = (project / "examples" / "README.md").read_text("utf-8")
    files = sorted((project / "examples" / "telemetry").iterdir())
    assert [file.stem for file in files] == sorted(EXAMPLES)
    assert all(f"`{file.name}`" in text for file in files)
