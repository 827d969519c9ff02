"""Learning: answers, plays, pages, and the errors that learners met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.asking import EVENTS, KIND, at_once, counted, counted_at_once, label, over_time, recipe
from boards.panels import QUARTER, Says, bars, board, found, how_many, lines, number, ranking
from sunbird_otel import names

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

_SCORE = f"event.{names.EDATA['ASSESS']['score']}"
_OBJECT = f"span.{names.OBJECT_ID}"
_PASS = label(names.EDATA["ASSESS"]["pass"])
_PAGE = label(names.PAGE_ID)
_SEEN = label(names.EDATA["IMPRESSION"]["type"])
_ERROR = label(names.ERROR_TYPE)

_PLAYS = f'{{ {KIND} = "player" }}'
_SCORED = f'{{ {KIND} = "player" && {_SCORE} != nil }}'
_WRONG = recipe("wrong-answers")
_FAILED = recipe("players-with-an-error")

_ON_ARRIVAL = "Counted by the Collector when the flow arrives, which for an offline device is late."
_ONE_ANSWER = "Of one answer of each play: TraceQL metrics take one event of a span."


def learning() -> Dashboard:
    """Return the dashboard of the learners."""
    return board(
        "sunbird-learning",
        "Sunbird: learning",
        "How learners answered, what they played, where they were, and which errors they met.",
        {"Answers": _answers(), "Plays and errors": _plays(), "Pages and searches": _pages()},
    )


def _answers() -> list[Builder[Panel]]:
    right = f'sum(increase({EVENTS}{{{_PASS}="Yes"}}[$__range]))'
    every = f'sum(increase({EVENTS}{{{_PASS}!=""}}[$__range]))'
    return [
        number(
            Says(
                "Answers that pass", f"The share of ASSESS events with pass Yes. {_ON_ARRIVAL}", "percentunit", QUARTER
            ),
            counted_at_once(f"{right} / {every}", "pass"),
            opens=_WRONG,
        ),
        how_many(
            Says("Plays with a wrong answer", "Plays with an ASSESS with pass No.", "short", QUARTER), _WRONG, bad=True
        ),
        how_many(Says("Plays", "Contents that were opened in a player.", "short", QUARTER), _PLAYS),
        how_many(
            Says("Left at once", "Plays that were closed within ten seconds.", "short", QUARTER),
            recipe("plays-left-at-once"),
            bad=True,
        ),
        bars(
            Says("Answers", f"ASSESS events, by pass. {_ON_ARRIVAL}", "short"),
            counted(f'sum by ({_PASS}) (increase({EVENTS}{{{_PASS}!=""}}[$__rate_interval]))', f"{{{{{_PASS}}}}}"),
            opens=_WRONG,
        ),
        lines(
            Says("Average score", _ONE_ANSWER, "none"),
            over_time(f"{_SCORED} | avg_over_time({_SCORE})"),
            opens=_SCORED,
        ),
        ranking(
            Says("Contents with the lowest scores", f"The average score. {_ONE_ANSWER}", "none"),
            at_once(f"{_SCORED} | avg_over_time({_SCORE}) by ({_OBJECT}) | bottomk(10)"),
            opens=recipe("low-scores"),
        ),
        found(
            Says(
                "Low scores with many retries",
                "The same content three times in one session, each time with a low score; the id opens the trace.",
                "none",
            ),
            recipe("low-scores-with-many-retries"),
        ),
    ]


def _plays() -> list[Builder[Panel]]:
    return [
        lines(
            Says("Time in the player by percentile", "From START to END, or to the last event.", "s"),
            over_time(f"{_PLAYS} | quantile_over_time(duration, 0.5, 0.9, 0.99)"),
            opens=_PLAYS,
        ),
        ranking(
            Says("Contents played most", "Plays of each content.", "short"),
            at_once(f"{_PLAYS} | count_over_time() by ({_OBJECT}) | topk(10)"),
            opens=_PLAYS,
        ),
        bars(
            Says("Errors by class", f"ERROR events inside flows, by errtype. {_ON_ARRIVAL}", "short"),
            counted(f'sum by ({_ERROR}) (increase({EVENTS}{{{_ERROR}!=""}}[$__rate_interval]))', f"{{{{{_ERROR}}}}}"),
            opens=f'{{ event.{names.ERROR_TYPE} = "${{__field.labels.{_ERROR}}}" }}',
        ),
        found(
            Says("Plays with an error", "Some of them; the id opens the trace.", "none"),
            f"{_FAILED} | select({_OBJECT}, event.{names.ERROR_TYPE}, event.{names.EXCEPTION_MESSAGE})",
        ),
    ]


def _pages() -> list[Builder[Panel]]:
    visits = f'increase({EVENTS}{{{_SEEN}!="", {_PAGE}!=""}}[$__range])'
    return [
        ranking(
            Says("Top pages", f"IMPRESSION events by page; a click shows who was there. {_ON_ARRIVAL}", "short"),
            counted_at_once(f"topk(15, sum by ({_PAGE}) ({visits}))", f"{{{{{_PAGE}}}}}"),
            opens=f'{{ event.{names.PAGE_ID} = "${{__field.labels.{_PAGE}}}" }}',
        ),
        found(
            Says("Searches without a hit", "Some of them; the id opens the trace.", "none"),
            recipe("searches-without-a-hit"),
        ),
        found(
            Says("Ratings of two stars or fewer", "Some of them; the id opens the trace.", "none"),
            recipe("bad-ratings"),
        ),
        found(
            Says(
                "Left after an error",
                "Plays with an error in a session that was not closed; the id opens the trace.",
                "none",
            ),
            recipe("failed-play-then-left"),
        ),
    ]
