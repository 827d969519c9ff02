"""What was measured last, kept in ``results.json`` and told in ``docs/performance.md``.

    python benchmarks/record.py

writes the page anew from the results that are kept; ``make bench RECORD=1`` keeps new ones first.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from figures import GOALS, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RESULTS: Final = Path(__file__).with_name("results.json")
PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN: Final = "<!-- measured: what stands from here to the end of the page is written by make bench RECORD=1 -->\n"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A result, and where it was taken."""

    form: str
    """Of the package: ``interpreted`` or ``compiled``."""
    machine: str
    date: str
    result: Result

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"form": self.form, "machine": self.machine, "date": self.date, "result": self.result.as_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return what :meth:`as_json` gave."""
        result = Result(**values["result"])
        return cls(form=values["form"], machine=values["machine"], date=values["date"], result=result)


def machine() -> str:
    """Return what decides how fast this is: processor, cores, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.python_implementation()} {platform.python_version()}"


def today() -> str:
    """Return the date of a measurement."""
    return datetime.now(UTC).date().isoformat()


def keep(measured: dict[str, list[Measured]], results: Path = RESULTS, page: Path = PAGE) -> None:
    """Replace the kept results of the tables in ``measured``, leave the others, and write the page."""
    kept = load(results)
    for table, found in measured.items():
        forms = {one.form for one in found}
        kept[table] = [*found, *(one for one in kept.get(table, []) if one.form not in forms)]
    values = {table: [one.as_json() for one in sorted(found, key=_interpreted_first)] for table, found in kept.items()}
    results.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    write(results, page)


def load(results: Path = RESULTS) -> dict[str, list[Measured]]:
    """Return what is kept, by table."""
    if not results.exists():
        return {}
    values: dict[str, list[dict[str, Any]]] = json.loads(results.read_text("utf-8"))
    return {table: [Measured.from_json(one) for one in found] for table, found in values.items()}


def write(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Write the end of the page from what is kept."""
    page.write_text(rewritten(page.read_text("utf-8"), load(results)), "utf-8")


def rewritten(text: str, measured: dict[str, list[Measured]]) -> str:
    """Return the text of the page with its end made anew."""
    head, mark, _ = text.partition(BEGIN)
    if not mark:
        raise ValueError(
            f"expected the page to have the line {BEGIN.strip()!r}, found none; put it where results begin"
        )
    return head + mark + "\n".join(_sections(measured)).rstrip() + "\n"


def figures_by_form(measured: Iterable[Measured]) -> dict[str, dict[str, float]]:
    """Return the figures that have goals, those of all tables together, by the form of the package."""
    figures: dict[str, dict[str, float]] = {}
    for one in sorted(measured, key=_interpreted_first):
        figures.setdefault(one.form, {}).update(one.result.figures)
    return figures


def verdict(key: str, figures: dict[str, float]) -> str:
    """Say how a figure stands to its goal."""
    (goal,) = (goal for goal in GOALS if goal.key == key)
    if key not in figures:
        return "not measured"
    return f"{figures[key]:.2f}x, {goal.verdict(figures[key])}"


def _sections(measured: dict[str, list[Measured]]) -> Iterator[str]:
    yield from _goals(figures_by_form(one for found in measured.values() for one in found))
    for found in measured.values():
        for one in found:
            yield from _section(one)


def _goals(figures: dict[str, dict[str, float]]) -> Iterator[str]:
    yield from ("", "## The goals", "")
    yield from _table(
        ["figure", "at least", "goal", *figures],
        (
            [
                goal.figure,
                f"{goal.at_least:g}x",
                f"{goal.goal:g}x",
                *(verdict(goal.key, found) for found in figures.values()),
            ]
            for goal in GOALS
        ),
    )


def _section(one: Measured) -> Iterator[str]:
    result = one.result
    yield from ("", f"## {result.title}, {one.form}", "", f"Measured on {one.date}: {one.machine}.", "")
    if result.text:
        yield from ("```text", result.text, "```")
    if result.rows:
        yield from _table(result.headings, result.rows)
    for note in result.notes:
        yield from ("", note)


def _table(headings: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'|'.join(['---', *('---:' for _ in headings[1:])])}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _interpreted_first(one: Measured) -> bool:
    return one.form != "interpreted"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    write()
