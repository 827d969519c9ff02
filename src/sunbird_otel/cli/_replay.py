"""``sunbird-otel replay``: files to OTLP."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sunbird_otel._divide import Divider
from sunbird_otel.cli._crew import Crew
from sunbird_otel.cli._exits import Exit, stopped_by, worst
from sunbird_otel.cli._garbage import little_garbage
from sunbird_otel.cli._intake import Intake
from sunbird_otel.cli._progress import progress_over
from sunbird_otel.cli._screen import tell
from sunbird_otel.cli._summary import Summary, check_inputs_survive, check_is_no_folder, write_report
from sunbird_otel.errors import SinkError, SourceError
from sunbird_otel.sinks import DeadLetters
from sunbird_otel.sinks.dead_letter import letter
from sunbird_otel.sinks.otlp.files import FileSink
from sunbird_otel.sinks.otlp.network import OtlpSink
from sunbird_otel.sinks.otlp.request import KINDS, looks_like_request, parse
from sunbird_otel.sinks.otlp.settings import OtlpSettings
from sunbird_otel.sinks.otlp.undelivered import recognise

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from sunbird_otel._findings import Finding
    from sunbird_otel._pipeline import Pipeline
    from sunbird_otel._rules import Rules
    from sunbird_otel.cli._progress import Progress
    from sunbird_otel.cli._settings import Settings
    from sunbird_otel.sinks.otlp.request import Kind
    from sunbird_otel.sources.files import Document

DEAD_LETTER: Final = "dead-letter.jsonl"
"""Where refused events are kept in the folder of ``--output``."""

DEAD_LETTER_HERE: Final = "sunbird-otel.dead-letter.jsonl"
"""Where refused events are kept when the output goes to a receiver."""

UNDELIVERED_HERE: Final = "sunbird-otel.undelivered"
"""The folder that keeps what the receiver did not take."""


def replay(paths: Sequence[str], settings: Settings, environ: Mapping[str, str]) -> Exit:
    """Read ``paths`` and write what they hold as OTLP, as ``settings`` and the standard variables say."""
    check_is_no_folder(settings.report, "--report")
    check_is_no_folder(settings.dead_letter, "--dead-letter")
    results = [settings.report, settings.dead_letter]
    if settings.output is not None:
        results += [str(Path(settings.output, name)) for name in (*(f"{kind}.jsonl" for kind in KINDS), DEAD_LETTER)]
    check_inputs_survive(paths, results)
    with little_garbage(), progress_over(paths, quiet=settings.quiet) as progress:
        run = _Run(paths, settings, environ, progress)
        code = run.run()
    if settings.report is not None:
        try:
            write_report(run.intake.bridge.tally, settings.report)
        except SinkError as error:
            tell(str(error))
            code = Exit.UNDELIVERED if code in (Exit.DONE, Exit.UNREADABLE) else code
    if not settings.quiet:
        run.summary().show()
    return code


class _Run:
    """One replay: its intake, its sink and its dead letters."""

    def __init__(
        self, paths: Sequence[str], settings: Settings, environ: Mapping[str, str], progress: Progress
    ) -> None:
        workers, kept = settings.workers, None
        if settings.output is not None:
            folder = Path(settings.output)
            sink: FileSink | OtlpSink = FileSink(folder)
            self._place = f"{folder}: {', '.join(f'{kind}.jsonl' for kind in KINDS)}"
            self._place_if_broken_off = f"{folder}: *.jsonl.partial, which are not complete"
            letters = Path(settings.dead_letter) if settings.dead_letter else folder / DEAD_LETTER
        else:
            otlp = OtlpSettings.from_environment(
                environ,
                endpoint=settings.endpoint,
                protocol=settings.protocol,
                retry_seconds=settings.retry_for / 1_000_000_000,
            )
            # Requests that are only sent again still stand where they were read: a second copy would be in the way. But
            # what is followed may be rotated away, or cut.
            again = not settings.follow and _all_hold_requests(paths)
            kept = None if again else Path(settings.undelivered or UNDELIVERED_HERE)
            workers = 1 if kept is None else workers
            sink = OtlpSink(replace(otlp, max_bytes=settings.max.request_bytes), undelivered=kept)
            self._place = ", ".join(
                dict.fromkeys(each.endpoint.removesuffix(f"/v1/{kind}") for kind, each in otlp.destinations.items())
            )
            self._place_if_broken_off = self._place
            letters = Path(settings.dead_letter or DEAD_LETTER_HERE)
        self._letters = DeadLetters(
            letters, earlier="keep" if settings.dead_letter or not settings.output else "replace"
        )
        self._keeping = threading.Lock()  # a crew refuses in a thread of its own
        self._sink: FileSink | OtlpSink | Crew = sink
        bridge: Callable[[Rules, Callable[[Finding], None]], Pipeline[Any]] | None = None
        if workers > 1:
            bridge = partial(_divider, workers, settings)
            self._sink = Crew(workers, settings, environ, sink, undelivered=kept, on_refused=self._keep_letter)
        self.intake: Intake[Any] = Intake(
            paths, settings, sink.form, progress, on_finding=self._keep, divert=self._requests, bridge=bridge
        )
        self._follows = settings.follow
        self._passed_on: dict[str, int] = {}
        self._stopped_by = ""
        self._complete = False

    def run(self) -> Exit:
        """Read, bridge and write everything; return the exit code. What goes wrong on the way is said at once."""
        try:
            return self._run()
        finally:
            if isinstance(self._sink, Crew):
                self.intake.bridge.tally.add(self._sink.tally.counts())

    def _run(self) -> Exit:
        try:
            for signals in self.intake.signals():
                self._sink.write(signals)
                if self._follows and not isinstance(self._sink, Crew):  # who looks at a live run wants to see it now
                    self._sink.flush()
        except SinkError as error:
            tell(str(error))
            self._give_up()
            return Exit.UNDELIVERED
        except KeyboardInterrupt as interrupt:
            self._stopped_by, code = stopped_by(interrupt)
            tell(f"stopped by {self._stopped_by}; flows that were open are not in the output.")
            self._give_up()
            return code
        except BaseException:
            self._give_up()
            raise
        return self._close()

    def summary(self) -> Summary:
        """Return what was done."""
        bridge, report = self.intake.bridge, self._sink.report
        places = [self._place if self._complete else self._place_if_broken_off]
        for word, counts in (
            ("delivered", report.delivered),
            ("refused by the receiver", report.rejected),
            ("skipped", report.skipped),
            ("undelivered", report.undelivered),
        ):
            if said := _counted(counts):
                places.append(f"{said} {word}")
        notes = [
            f"{path} holds OTLP requests in place of events; passed on as they are: {number:,}"
            for path, number in self._passed_on.items()
        ]
        if self._letters.count:
            where = self._letters.path if not self._stopped_by else f"{self._letters.path.name}.*.partial"
            notes.append(f"{self._letters.count:,} refused, kept in {where}")
        if self._letters.set_aside is not None:
            notes.append(f"the refused events of an earlier run are now in {self._letters.set_aside}")
        if early := bridge.released_early:
            notes.append(
                f"{early:,} events were let go before the whole input was in order; a larger --memory keeps them"
            )
        if isinstance(bridge, Divider) and bridge.parted:
            notes.append(
                f"{bridge.parted:,} times events met that belong together and had gone to different workers by then; "
                "--lateness all with enough --memory, or one worker, keeps them together"
            )
        return Summary(bridge.tally, places, [*notes, *report.notes])

    def _close(self) -> Exit:
        try:
            self._complete = _went_well(self._sink.close)
            all_kept = _went_well(self._letters.close)
        except KeyboardInterrupt as interrupt:
            self._stopped_by, code = stopped_by(interrupt)
            tell(f"stopped by {self._stopped_by} while the last of the output was on its way.")
            self._give_up()
            return code
        except BaseException:
            self._give_up()
            raise
        return worst(self.intake.exit, Exit.DONE if self._complete and all_kept else Exit.UNDELIVERED)

    def _give_up(self) -> None:
        self._sink.abort()
        # What was refused is known for good, whatever became of the rest; an interrupted run's is marked as partial.
        if self._stopped_by:
            self._letters.abort()
            return
        with contextlib.suppress(SinkError):
            self._letters.close()

    def _keep(self, finding: Finding) -> None:
        if finding.refused:
            self._keep_letter(letter(finding))

    def _keep_letter(self, line: bytes) -> None:
        with self._keeping:
            self._letters.write_letter(line)

    def _requests(self, head: bytes) -> Callable[[Document], None] | None:
        return self._pass_on if looks_like_request(head) else None

    def _pass_on(self, document: Document) -> None:
        source = document.position.source
        try:
            request = parse(document.data)
        except SourceError as error:
            raise SourceError(f"{source}, line {document.position.line}: {error}") from None
        self._sink.send_requests([request])
        self._passed_on[source] = self._passed_on.get(source, 0) + 1


def _divider(workers: int, settings: Settings, rules: Rules, on_finding: Callable[[Finding], None]) -> Pipeline[Any]:
    return Divider(
        workers,
        rules=rules,
        policy=settings.policy,
        lateness=settings.lateness,
        memory=settings.memory,
        limits=settings.max,
        on_finding=on_finding,
    )


def _went_well(close: Callable[[], object]) -> bool:
    try:
        close()
    except SinkError as error:
        tell(str(error))
        return False
    return True


def _all_hold_requests(paths: Sequence[str]) -> bool:
    try:
        # Only a regular file can be looked at and read again.
        return all(Path(path).is_file() and recognise(Path(path)) for path in paths)
    except OSError:
        return False


def _counted(counts: Counter[str]) -> str:
    nouns: dict[Kind, str] = {kind: protocol.noun for kind, protocol in KINDS.items()}
    return ", ".join(f"{counts[kind]:,} {noun}" for kind, noun in nouns.items() if counts[kind])
