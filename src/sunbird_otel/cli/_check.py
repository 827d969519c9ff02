"""``sunbird-otel check``: every finding with its place and what to do about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.table import Table
from rich.text import Text

from sunbird_otel._findings import ADVICE, Finding
from sunbird_otel._form import Records
from sunbird_otel.cli._exits import Exit, worst
from sunbird_otel.cli._intake import Intake
from sunbird_otel.cli._progress import progress_over
from sunbird_otel.cli._screen import Output, printable
from sunbird_otel.cli._summary import check_inputs_survive, check_is_no_folder, check_stdout_is_free, write_report
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._findings import Position
    from sunbird_otel._tally import Tally
    from sunbird_otel.cli._settings import Settings

SCHEMA: Final = "schema"
"""The code of what the schemas of Sunbird's pipeline refuse."""


def check(paths: Sequence[str], settings: Settings, *, as_json: bool) -> Exit:
    """Write all findings in ``paths`` to the standard output."""
    check_stdout_is_free(settings.report, "the findings")
    check_is_no_folder(settings.report, "--report")
    check_inputs_survive(paths, [settings.report])
    output = Output()
    writer = _Json(output) if as_json else _Text(output)
    found: Counter[str] = Counter()

    def on_finding(finding: Finding) -> None:
        found[finding.code] += 1
        writer.write(finding)

    def on_event(event: dict[str, Any], position: Position | None) -> None:
        for refusal in validate(event):
            on_finding(
                Finding(
                    code=SCHEMA,
                    path=refusal.path,
                    expected=refusal.expected,
                    found=refusal.found,
                    position=position,
                    eid=_text(event.get("eid")),
                    mid=_text(event.get("mid")),
                )
            )

    with progress_over(paths, quiet=settings.quiet, results_follow=False) as progress:
        intake = Intake(paths, settings, Records(), progress, on_finding=on_finding, on_event=on_event, judges=True)
        for _ in intake.signals():
            # A check makes signals only to see what the flow rules say.
            pass
    writer.end(found, intake.bridge.tally)
    output.flush()
    if settings.report is not None:
        write_report(intake.bridge.tally, settings.report)
    return worst(Exit.FOUND if found else Exit.DONE, intake.exit)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Json:
    """One JSON object, written as the findings come; what a broken run leaves is no valid JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._before = '{"findings": [\n'

    def write(self, finding: Finding) -> None:
        """Write one finding as an object of the array."""
        position = finding.position
        row = {
            "file": position.source if position else None,
            "line": position.line if position else None,
            "index": position.index if position else None,
            "mid": finding.mid,
            "code": finding.code,
            "path": finding.path,
            "expected": finding.expected,
            "found": finding.found,
            "advice": finding.advice,
        }
        self._output.write(self._before + orjson.dumps(row).decode())
        self._before = ",\n"

    def end(self, found: Counter[str], tally: Tally) -> None:  # noqa: ARG002 - the same for both writers
        """Close the array and the object."""
        self._output.write("\n]}\n" if found else self._before + "]}\n")


class _Text:
    """A heading for each event, its findings below, and the counts by code at the end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._heading = ""

    def write(self, finding: Finding) -> None:
        """Write one finding, under a new heading when it belongs to another event than the one before."""
        heading = _heading(finding)
        lines: list[str] = []
        if heading != self._heading:
            lines.append(self._output.paint(heading, "bold") + "\n")
            self._heading = heading
        code = self._output.paint(finding.code, "red")
        told = f"expected {finding.expected}, found {finding.found}"
        lines.append(f"  {code}  {printable(finding.path)}: {printable(told)}\n")
        lines.append(f"    {finding.advice}\n")
        self._output.write("".join(lines))

    def end(self, found: Counter[str], tally: Tally) -> None:
        """Write the counts."""
        events = f"{tally.received:,} event{'' if tally.received == 1 else 's'}"
        if not found:
            self._output.write(f"No findings in {events}.\n")
            return
        total = found.total()
        self._output.write(f"\n{total:,} finding{'' if total == 1 else 's'} in {events}\n")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(justify="right")
        table.add_column(style="red", no_wrap=True)
        table.add_column(overflow="fold")
        for code, number in found.most_common():
            table.add_row(f"{number:,}", code, Text(ADVICE[code]))
        self._output.show(table)


def _heading(finding: Finding) -> str:
    position = finding.position
    place = "somewhere"
    if position is not None:
        index = "" if position.index is None else f"[{position.index}]"
        place = f"{position.source}:{position.line}{index}"
    return printable("  ".join(part for part in (place, finding.eid, finding.mid) if part))
