"""``sunbird-otel view``: the flows as a tree, or as a page for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sunbird_otel import names
from sunbird_otel._form import Records
from sunbird_otel._signals import Span
from sunbird_otel.cli._intake import Intake
from sunbird_otel.cli._progress import progress_over
from sunbird_otel.cli._screen import Output, tell
from sunbird_otel.cli._settings import STDIO
from sunbird_otel.cli._summary import (
    check_inputs_survive,
    check_is_no_folder,
    check_stdout_is_free,
    write_file,
    write_report,
)
from sunbird_otel.errors import ConfigError
from sunbird_otel.view import render_html, render_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._findings import Finding
    from sunbird_otel.cli._exits import Exit
    from sunbird_otel.cli._settings import Settings

# So many sessions are named to who looked for another.
_NAMED = 5


def view(
    paths: Sequence[str],
    settings: Settings,
    *,
    html: str | None,
    session: str | None,
    limit: int | None,
    show_events: bool,
) -> Exit:
    """Show the flows in ``paths`` on the standard output, or write them to the page ``html``."""
    _check_results(paths, settings, html)
    spans: list[Span] = []
    refused: list[Finding] = []

    def on_finding(finding: Finding) -> None:
        if finding.refused:
            refused.append(finding)

    with progress_over(paths, quiet=settings.quiet) as progress:
        intake = Intake(paths, settings, Records(), progress, on_finding=on_finding)
        for signals in intake.signals():
            spans += [signal for signal in signals if isinstance(signal, Span)]
    if session is not None:
        spans = _of_session(spans, session)
    if html is None or html == STDIO:
        output = Output()
        if html is None:
            output.show(render_tree(spans, show_events=show_events, limit=limit, refused=refused))
        else:
            output.write(render_html(spans, title=_title(paths), refused=refused))
        output.flush()
    else:
        write_file(html, render_html(spans, title=_title(paths), refused=refused).encode(), "page")
        if not settings.quiet:
            tell(f"{html} shows {len(spans):,} span{'' if len(spans) == 1 else 's'}; open it in a browser.")
    if settings.report is not None:
        write_report(intake.bridge.tally, settings.report)
    return intake.exit


def _check_results(paths: Sequence[str], settings: Settings, html: str | None) -> None:
    """Refuse results that could not be written, or would be written over something, before the work begins."""
    if html is None or html == STDIO:
        check_stdout_is_free(settings.report, "the picture")
    elif settings.report == html:
        raise ConfigError(f"--html and --report both name {html}; give each a file of its own.")
    check_is_no_folder(settings.report, "--report")
    check_is_no_folder(html, "--html")
    check_inputs_survive(paths, [settings.report, html])


def _of_session(spans: Sequence[Span], session: str) -> list[Span]:
    """Return the spans of all traces in which a session of this id, or one that begins so, takes part."""
    ids = {str(span.attributes[names.SESSION_ID]) for span in spans if names.SESSION_ID in span.attributes}
    wanted = {each for each in ids if each.startswith(session)}
    if not wanted:
        known = ", ".join(sorted(ids)[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
        tell(f"no session begins with {session!r}; " + (f"there are {known}." if known else "no event names one."))
    traces = {span.trace_id for span in spans if span.attributes.get(names.SESSION_ID) in wanted}
    return [span for span in spans if span.trace_id in traces]


def _title(paths: Sequence[str]) -> str:
    first = "standard input" if paths[0] == STDIO else Path(paths[0]).name
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"
