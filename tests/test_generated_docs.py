"""The pages that are made from the rules and the names are those in the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sunbird_otel import Rules, names
from sunbird_otel._rules_file._words import ExtendTable, FlowTable, WorkflowTable

DOCS = Path(__file__).resolve().parent.parent / "docs"


def generate(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    command = [sys.executable, str(folder / "generate.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_generated_pages_are_fresh() -> None:
    assert generate(DOCS, "--check") == (0, [])


def test_stale_pages_are_noticed_and_written(tmp_path: Path) -> None:
    (tmp_path / "generate.py").write_text((DOCS / "generate.py").read_text("utf-8"), "utf-8")
    (tmp_path / "workflows.md").write_text("old\n", "utf-8")
    stale = ["docs/workflows.md is stale; run make docs", "docs/attributes.md is stale; run make docs"]
    assert generate(tmp_path, "--check") == (1, stale)
    assert (tmp_path / "workflows.md").read_text("utf-8") == "old\n"
    assert generate(tmp_path) == (0, ["docs/workflows.md written", "docs/attributes.md written"])
    assert generate(tmp_path, "--check") == (0, [])


@pytest.mark.parametrize("page", ["workflows.md", "attributes.md"])
def test_pages_say_that_they_are_generated(page: str) -> None:
    assert (DOCS / page).read_text("utf-8").startswith("<!-- generated; do not edit; make docs -->\n")


def test_every_name_and_every_flow_is_told() -> None:
    attributes = (DOCS / "attributes.md").read_text("utf-8")
    assert [name.key for name in names.TABLE if f"`{name.key}`" not in attributes] == []
    workflows = (DOCS / "workflows.md").read_text("utf-8")
    assert [flow.kind for flow in Rules.standard().flows if f"| **{flow.kind}**<br>" not in workflows] == []


def test_every_word_of_the_rule_files_is_explained_and_no_other() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    told = {
        section.partition("\n")[0]: set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))
        for section in sections
    }
    assert told["`[workflow]`"] == set(WorkflowTable.model_fields)
    assert told["`[flows.<name>]`"] == set(FlowTable.model_fields)
    (extend,) = (section for section in sections if section.startswith("`[extend.<flow>]`"))
    listed = set(re.findall(r"`(\w+)`", extend.partition("\n\n")[2].partition(". ")[0]))
    assert listed == set(ExtendTable.model_fields)
