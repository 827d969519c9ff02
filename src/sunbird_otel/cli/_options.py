"""The options that commands share, as typer reads them: their names, and what they mean to a user."""

from __future__ import annotations

from typing import Annotated, Final

import typer

BRIDGE: Final = "How flows are built"
DESTINATION: Final = "Where the output goes"
BOUNDS: Final = "Bounds"
LIVE: Final = "Live input"
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Events, batches or arrays, as JSON in any layout, plain or gzip. A dash is the standard input.",
        show_default=False,
    ),
]
RulesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rules",
        metavar="standard|field|FILE",
        help="The profile, standard if none is named, or a file that adds or replaces workflows. Repeatable.",
        rich_help_panel=BRIDGE,
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="annotate|repair|reject",
        help="What breaks a rule is marked (the default), repaired, or kept from the output.",
        rich_help_panel=BRIDGE,
    ),
]
LatenessOption = Annotated[
    str | None,
    typer.Option(
        "--lateness",
        metavar="DURATION|all",
        help="How far behind the newest an event may come and still be put in its place; all (the default) puts the "
        "whole input in order. A DURATION is 90s, 30m, 36h or 7d.",
        rich_help_panel=BRIDGE,
    ),
]
IdleGapOption = Annotated[
    str | None,
    typer.Option(
        "--idle-gap",
        metavar="DURATION",
        help="Close a flow after this time without an event, in place of what the rules say.",
        rich_help_panel=BRIDGE,
    ),
]
TraceScopeOption = Annotated[
    str | None,
    typer.Option(
        "--trace-scope",
        metavar="session|run",
        help="One trace a session and day (the default), or one a root flow.",
        rich_help_panel=BRIDGE,
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="What events that wait for their order may take, 1GiB if not given; beyond it the oldest are let go.",
        rich_help_panel=BOUNDS,
    ),
]
MaxOpenFlowsOption = Annotated[
    str | None,
    typer.Option(
        "--max-open-flows",
        metavar="N",
        help="Beyond so many, 1,000,000 if not given, the flow that has been idle longest is closed.",
        rich_help_panel=BOUNDS,
    ),
]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Divide the work among so many processes, 1 if not given; the output is the same, in another order.",
        rich_help_panel=BOUNDS,
    ),
]
MaxOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max",
        metavar="LIMIT=VALUE",
        help="Change a limit on the input, by the name that a refusal gives: event_bytes=4MiB. Repeatable.",
        rich_help_panel=BOUNDS,
    ),
]
ReportOption = Annotated[
    str | None,
    typer.Option(
        "--report", metavar="FILE|-", help="Write all counts as one JSON object; a dash is the standard output."
    ),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Read options from a TOML file with the same keys.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Write neither progress nor a summary, only what went wrong.")
]
