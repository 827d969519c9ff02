"""The documentation is run: its commands, its Python, its configuration, the examples in docstrings, its links.

A block is left out only by a comment that says why, which stands before it and is not seen by readers::

    <!-- skip: next "needs a running Jaeger" -->

Commands of one `console` block share a shell; blocks of one document share a copy of the project. A command must end
with 0 (show another code with `; echo $?`); the output that is printed under it must be what it writes, where `...`
stands for anything.
"""

from __future__ import annotations

import doctest
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from unittest import SkipTest

import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.skip import Skipper
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import sunbird_otel

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("collector_config", "docs", "examples")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])

# These need a Collector and a Jaeger: tests/test_backends_docs.py runs them.
WITH_BACKENDS = {ROOT / "docs" / "backends.md"}

# A language that is not here would be a way round the tests.
RUN = {"console", "json", "python", "sh", "toml"}
ONLY_SHOWN = {"", "mermaid", "promql", "text", "traceql", "yaml"}

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(sunbird_otel.__path__, "sunbird_otel.")
    if not module.name.endswith(".__main__")
)

END_OF_COMMAND = "--- end of command:"


class Command(NamedTuple):
    """A command of a console block, and the output that is printed under it (empty: not shown)."""

    text: str
    output: str


def commands(block: str) -> list[Command]:
    """Read `$ command` lines, their continuations (after a backslash, or marked `> `) and the output under each."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif not found:
            pytest.fail(f"a console block begins with a line '$ command'; found {line!r}")
        elif not found[-1][1] and (line.startswith("> ") or found[-1][0][-1].endswith("\\")):
            found[-1][0].append(line.removeprefix("> "))
        else:
            found[-1][1].append(line)
    return [Command("\n".join(text), "\n".join(output).strip("\n")) for text, output in found]


def environment() -> dict[str, str]:
    """Return an environment like that of a newcomer: the commands on the PATH, nothing configured."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SUNBIRD_OTEL_", "PYTEST_"))}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", os.defpath)))
    return kept | {"PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}


def shell(script: str) -> str:
    """Run a script in the working directory and return what it wrote, to either stream."""
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + ("" if done.returncode == 0 else f"\n(the shell ended with {done.returncode})")


def run_console(example: Example) -> str | None:
    listed = commands(str(example.parsed))
    written = shell("\n".join(f"{c.text}\nprintf '\\n{END_OF_COMMAND} %s\\n' $?" for c in listed))
    parts = re.split(rf"\n{END_OF_COMMAND} (\d+)\n", written)
    outputs, codes = parts[0::2], parts[1::2]
    if codes != ["0"] * len(listed):
        return f"each command must end with 0; they ended with {codes}:\n{written}"
    for command, output in zip(listed, outputs, strict=False):
        want, got = (trimmed(text) for text in (command.output, output))
        if command.output and not doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS):
            return f"$ {command.text}\n--- the document says:\n{want}--- the command wrote:\n{got}"
    return None


def trimmed(text: str) -> str:
    """Drop what no reader sees: blanks at line ends, empty lines around."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def run_sh(example: Example) -> str | None:
    written = shell(f"set -e\n{example.parsed}\nprintf '\\n{END_OF_COMMAND}\\n'")
    return None if written.endswith(f"\n{END_OF_COMMAND}\n") else f"the script failed:\n{written}"


def load_json(example: Example) -> None:
    json.loads(str(example.parsed))


def load_toml(example: Example) -> None:
    tomllib.loads(str(example.parsed))


SYBIL = Sybil(
    parsers=[
        CodeBlockParser("console", run_console),
        CodeBlockParser("json", load_json),
        CodeBlockParser("sh", run_sh),
        CodeBlockParser("toml", load_toml),
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS),
        SkipParser(),
    ]
)


def parse(path: Path) -> Document:
    return SYBIL.parse(path)


def run(document: Document) -> int:
    """Run the examples of a document in order; return how many ran and were not left out."""
    ran = 0
    for example in document.examples():
        if isinstance(example.region.evaluator, Skipper):
            action, reason = example.parsed
            if action != "end" and not reason:
                pytest.fail(f'{example.path}:{example.line}: say why: <!-- skip: {action} "the reason" -->')
            example.evaluate()
            continue
        try:
            example.evaluate()
        except SkipTest:
            continue
        ran += 1
    return ran


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a copy of the project, in which the commands of a document may write."""
    copy = tmp_path / "sunbird-otel"
    made = shutil.ignore_patterns(".git", ".venv*", "demo-output", "__pycache__", ".*_cache", ".hypothesis", "tests")
    shutil.copytree(ROOT, copy, ignore=made)
    (copy / ".venv").symlink_to(sys.prefix)
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.parametrize("page", sorted({*DOCUMENTS} - WITH_BACKENDS), ids=page_name)
def test_blocks_run(page: Path, workspace: Path) -> None:
    run(parse(workspace / page.relative_to(ROOT)))


@pytest.mark.parametrize("page", DOCUMENTS, ids=page_name)
def test_blocks_name_a_known_language(page: Path) -> None:
    fences = re.findall(r"^ *```+ *(\S*)[^`\n]*$", page.read_text("utf-8"), re.MULTILINE)
    assert set(fences[0::2]) <= RUN | ONLY_SHOWN


def test_readme_shows_commands_and_python_that_run() -> None:
    """If the parser lost them, all would be well and nothing tested."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert "```console" in text
    assert "```python" in text
    assert len(list(parse(ROOT / "README.md").examples())) >= text.count("```console") + text.count("```python")


@pytest.mark.parametrize("page", DOCUMENTS, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_a_wrong_output_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ cd /tmp\n$ echo one; \\\n  pwd\none\n...mp\n$ echo two\nthree\n```\n")
    with pytest.raises(Exception, match=r"says:\nthree\n--- the command wrote:\ntwo"):
        run(parse(page))


def test_a_failing_command_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ false\n```\n")
    with pytest.raises(Exception, match="each command must end with 0"):
        run(parse(page))


def test_a_block_is_left_out_only_with_a_reason(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('<!-- skip: next "shown only" -->\n\n```sh\nfalse\n```\n\n```sh\ntrue\n```\n')
    assert run(parse(page)) == 1
    page.write_text("<!-- skip: next -->\n\n```sh\nfalse\n```\n")
    with pytest.raises(pytest.fail.Exception, match="say why"):
        run(parse(page))
