"""The commands and their options, as typer reads them: what each means stands here, what it does elsewhere."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final, Literal

import typer

from sunbird_otel.cli._exits import Exit, run
from sunbird_otel.cli._options import (
    DESTINATION,
    LIVE,
    ConfigOption,
    Files,
    IdleGapOption,
    LatenessOption,
    MaxOpenFlowsOption,
    MaxOption,
    MemoryOption,
    PolicyOption,
    QuietOption,
    ReportOption,
    RulesOption,
    TraceScopeOption,
    WorkersOption,
)
from sunbird_otel.cli._screen import hold_standard_streams
from sunbird_otel.cli._settings import Settings, read_settings

app: Final = typer.Typer(
    name="sunbird-otel",
    help="Sunbird telemetry to OpenTelemetry: flows as spans, checked against their nesting rules.",
    epilog="[bold]Begin here[/bold]\n\n"
    " [cyan]sunbird-otel view events.jsonl[/cyan]                     see what happened\n\n"
    " [cyan]sunbird-otel check events.jsonl[/cyan]                    see what is wrong with it\n\n"
    " [cyan]sunbird-otel replay events.jsonl --output otlp[/cyan]     write it as OpenTelemetry\n\n"
    "Each command has examples: [cyan]sunbird-otel replay --help[/cyan]",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
rules_app: Final = typer.Typer(rich_markup_mode="rich")
app.add_typer(rules_app, name="rules")

_ENVIRONMENT: Final = (
    "Each option is also an environment variable, [cyan]--idle-gap[/cyan] for example SUNBIRD_OTEL_IDLE_GAP, and a key "
    "of the configuration file, [cyan]idle-gap[/cyan]. The command line wins over the environment, this over the file."
)


def main() -> None:
    """Run the command line; the process ends with one of the codes of :class:`Exit`."""
    hold_standard_streams()
    app(prog_name="sunbird-otel")


def _show_version(asked: bool) -> None:
    if asked:
        from sunbird_otel._version import __version__

        typer.echo(f"sunbird-otel {__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    " [cyan]sunbird-otel replay day.json.gz --output otlp[/cyan]\n\n"
    "   writes otlp/traces.jsonl, metrics.jsonl and logs.jsonl, and otlp/dead-letter.jsonl if something is refused\n\n"
    " [cyan]sunbird-otel replay *.jsonl --endpoint http://localhost:4318[/cyan]\n\n"
    "   sends to a Collector, Jaeger or Tempo; so does OTEL_EXPORTER_OTLP_ENDPOINT, with its headers\n\n"
    " [cyan]kcat -C -e -t telemetry.unique | sunbird-otel replay - --lateness 36h --report counts.json[/cyan]\n\n"
    "   reads a pipe in bounded time and memory, and keeps the accounts\n\n"
    " [cyan]sunbird-otel replay telemetry.log --follow --pending[/cyan]\n\n"
    "   reads on as the file grows, and shows flows that are still open\n\n"
    " [cyan]sunbird-otel replay sunbird-otel.undelivered/*.jsonl[/cyan]\n\n"
    "   sends again, as they are, the requests that a receiver did not take\n\n" + _ENVIRONMENT
)
def replay(
    files: Files,
    *,
    rules: RulesOption = None,
    policy: PolicyOption = None,
    lateness: LatenessOption = None,
    idle_gap: IdleGapOption = None,
    trace_scope: TraceScopeOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write OTLP/JSON files into this folder, as the Collector's file exporter does.",
            rich_help_panel=DESTINATION,
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Send to this OTLP receiver; if not given, to that of OTEL_EXPORTER_OTLP_ENDPOINT, else to "
            "http://localhost:4318.",
            rich_help_panel=DESTINATION,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="http/protobuf|grpc",
            help="How to speak to it. http/json is known, too.",
            rich_help_panel=DESTINATION,
        ),
    ] = None,
    dead_letter: Annotated[
        str | None,
        typer.Option(
            "--dead-letter",
            metavar="FILE",
            help="Keep refused events here. If not given: DIR/dead-letter.jsonl, or "
            "sunbird-otel.dead-letter.jsonl in the working directory.",
            rich_help_panel=DESTINATION,
        ),
    ] = None,
    undelivered: Annotated[
        str | None,
        typer.Option(
            "--undelivered",
            metavar="DIR",
            help="Keep here what the receiver does not take; sunbird-otel.undelivered if not given.",
            rich_help_panel=DESTINATION,
        ),
    ] = None,
    retry_for: Annotated[
        str | None,
        typer.Option(
            "--retry-for",
            metavar="DURATION",
            help="Wait so long for a receiver that does not answer, 60s if not given.",
            rich_help_panel=DESTINATION,
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Read on as the file grows, also when it is rotated, until Ctrl-C or SIGTERM. The lateness is 10s "
            "then, if none is given.",
            rich_help_panel=LIVE,
        ),
    ] = False,
    pending: Annotated[
        bool,
        typer.Option(
            "--pending", help="With --follow: show flows that are still open, by a span of 1 ns.", rich_help_panel=LIVE
        ),
    ] = False,
    pending_after: Annotated[
        str | None,
        typer.Option(
            "--pending-after",
            metavar="DURATION",
            help="With --pending: show a flow when it has been open for so long, 10s if not given.",
            rich_help_panel=LIVE,
        ),
    ] = None,
    memory: MemoryOption = None,
    max_open_flows: MaxOpenFlowsOption = None,
    workers: WorkersOption = None,
    max: MaxOption = None,  # noqa: A002 - the option's name
    report: ReportOption = None,
    config: ConfigOption = None,
    quiet: QuietOption = False,
) -> None:
    """Read Sunbird telemetry from FILE... and write it as OpenTelemetry: flows as spans, METRICS as metrics.

    Exit codes: 0 done; 2 usage; 3 an input could not be read to its end; 4 output could not be delivered, and is kept.
    """
    options = locals()

    def command() -> Exit:
        settings = _settings(options)
        from sunbird_otel.cli._replay import replay as do

        return do(files, settings, os.environ)

    raise typer.Exit(run(command))


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    " [cyan]sunbird-otel check events.jsonl[/cyan]\n\n"
    "   every refusal, duplicate and broken nesting, with its place and what to do; the counts by code at the end\n\n"
    " [cyan]sunbird-otel check events.jsonl --rules field[/cyan]\n\n"
    "   accepts what known clients do on purpose\n\n"
    " [cyan]sunbird-otel check events.jsonl --format json | jq -r '.findings\\[].code' | sort | uniq -c[/cyan]\n\n"
    "   for programs\n\n" + _ENVIRONMENT
)
def check(
    files: Files,
    *,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["text", "json"], typer.Option("--format", help="For people, or one JSON object for programs.")
    ] = "text",
    rules: RulesOption = None,
    policy: PolicyOption = None,
    lateness: LatenessOption = None,
    idle_gap: IdleGapOption = None,
    trace_scope: TraceScopeOption = None,
    memory: MemoryOption = None,
    max_open_flows: MaxOpenFlowsOption = None,
    max: MaxOption = None,  # noqa: A002 - the option's name
    report: ReportOption = None,
    config: ConfigOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say what is wrong with the telemetry in FILE...: its schemas, its duplicates, its flows.

    Exit codes: 0 nothing found; 1 something found; 2 usage; 3 an input could not be read to its end.
    """
    options = locals()

    def command() -> Exit:
        settings = _settings(options)
        from sunbird_otel.cli._check import check as do

        return do(files, settings, as_json=format == "json")

    raise typer.Exit(run(command))


@app.command(
    epilog="[bold]Examples[/bold]\n\n"
    " [cyan]sunbird-otel view events.jsonl | less -R[/cyan]\n\n"
    "   the flows as a tree, with times, durations, events and marks\n\n"
    " [cyan]sunbird-otel view events.jsonl --session 0b9d1c44 --show-events[/cyan]\n\n"
    "   one session, event by event; the first characters of its id are enough\n\n"
    " [cyan]sunbird-otel view events.jsonl --html flows.html[/cyan]\n\n"
    "   one page with a waterfall, which needs no network\n\n" + _ENVIRONMENT
)
def view(
    files: Files,
    *,
    show_events: Annotated[bool, typer.Option("--show-events", help="Show each event in a line of its own.")] = False,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Only traces with this session; its first characters do."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Show at most N lines.", show_default=False)
    ] = None,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE|-", help="Write a page for the browser in place of the tree.")
    ] = None,
    rules: RulesOption = None,
    policy: PolicyOption = None,
    lateness: LatenessOption = None,
    idle_gap: IdleGapOption = None,
    trace_scope: TraceScopeOption = None,
    memory: MemoryOption = None,
    max_open_flows: MaxOpenFlowsOption = None,
    max: MaxOption = None,  # noqa: A002 - the option's name
    report: ReportOption = None,
    config: ConfigOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show the flows in FILE... as a tree, or as a page for the browser.

    Exit codes: 0 done; 2 usage; 3 an input could not be read to its end; 4 the page could not be written.
    """
    options = locals()

    def command() -> Exit:
        settings = _settings(options)
        from sunbird_otel.cli._view import view as do

        return do(files, settings, html=html, session=session, limit=limit, show_events=show_events)

    raise typer.Exit(run(command))


@rules_app.callback(
    invoke_without_command=True,
    epilog="[bold]Examples[/bold]\n\n"
    " [cyan]sunbird-otel rules --rules field[/cyan]\n\n"
    "   the rules of a profile\n\n"
    " [cyan]sunbird-otel rules check quiz.toml[/cyan]\n\n"
    "   whether a file of your own is good, and what it changes",
)
def rules(
    context: typer.Context,
    *,
    rules: RulesOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the rules in force: what opens and closes each flow, where it may stand, what it may hold."""
    if context.invoked_subcommand is not None:
        context.obj = {"rules": rules, "config": config}
        return

    def command() -> Exit:
        settings = _settings({"rules": rules, "config": config})
        from sunbird_otel.cli._rules import show_rules

        return show_rules(settings)

    raise typer.Exit(run(command))


@rules_app.command("check")
def rules_check(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Rule files (TOML).", show_default=False)],
) -> None:
    """Say whether rule files are good and what they change; refuse a bad one with line and reason (exit code 2)."""

    def command() -> Exit:
        settings = _settings(context.obj)
        from sunbird_otel.cli._rules import check_rules

        return check_rules(files, settings)

    raise typer.Exit(run(command))


def _settings(options: dict[str, Any]) -> Settings:
    return read_settings(options, os.environ)
