"""What holds for every input: order, copies and cuts change nothing, the accounts balance, repair contains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bridging import (
    POLICIES,
    Run,
    check_balance,
    check_contained,
    check_drained,
    check_found_once,
    check_spans,
    closing,
    compact,
    lines,
    readable,
    run,
    standard,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import cut, worn

from sunbird_otel import Bridge, names
from sunbird_otel._document import Lines
from sunbird_otel._limits import Limits

if TYPE_CHECKING:
    from sunbird_otel._findings import Finding
    from sunbird_otel._signals import Signal

SECOND = 1_000_000_000
T0_NS = 1_795_154_400 * SECOND

policies = st.sampled_from(POLICIES)
scopes = st.sampled_from(("session", "run"))


# --- The same input in another dress ---------------------------------------------------------------------------------


@given(st.data(), worn(), policies, scopes)
def test_order_of_arrival_changes_nothing(data: st.DataObject, events: list[Any], policy: str, scope: str) -> None:
    documents = lines(events)
    shuffled = data.draw(st.permutations(documents))
    assert run(documents, policy=policy, trace_scope=scope).text == run(shuffled, policy=policy, trace_scope=scope).text


@given(st.data(), worn(unreadable=False), policies)
def test_copies_change_only_the_count_of_duplicates(data: st.DataObject, events: list[Any], policy: str) -> None:
    documents = lines(events)
    copied = data.draw(st.lists(st.sampled_from(documents), max_size=8)) if documents else []
    once, twice = run(documents, policy=policy), run([*documents, *copied], policy=policy)
    assert once.text == twice.text
    assert once.tally.duplicate + len(copied) == twice.tally.duplicate
    assert once.tally.translated == twice.tally.translated
    assert once.tally.rejected == twice.tally.rejected


@given(st.data(), worn(), policies)
def test_cuts_into_batches_change_nothing(data: st.DataObject, events: list[Any], policy: str) -> None:
    single, batched = run(lines(events), policy=policy), run(data.draw(cut(events)), policy=policy)
    assert single.text == batched.text
    assert single.tally == batched.tally


@given(st.data(), worn(), policies)
def test_lines_give_the_same_as_documents(data: st.DataObject, events: list[Any], policy: str) -> None:
    texts = data.draw(st.sampled_from((compact, lines)))(events)
    by_line, one_by_one = run(texts, as_lines=True, policy=policy), run(texts, policy=policy)
    assert by_line.text == one_by_one.text
    assert by_line.tally == one_by_one.tally
    assert by_line.codes == one_by_one.codes
    check_found_once(by_line, texts)
    shuffled = data.draw(st.permutations(texts))
    assert run(shuffled, as_lines=True, policy=policy).text == by_line.text


@given(st.data(), worn(), st.sampled_from((0, 10 * SECOND, None)), st.sampled_from((1, 2_000, 1 << 30)), policies)
def test_how_lines_are_handed_over_changes_nothing(
    data: st.DataObject, events: list[Any], lateness: int | None, memory: int, policy: str
) -> None:
    """What is found is found in the same order, too, however many events are read before one is placed."""
    texts = compact(events)
    options: dict[str, Any] = {"lateness": lateness, "memory": memory, "policy": policy}
    one_by_one = run(texts, as_lines=True, **options)
    findings: list[Finding] = []
    bridge = Bridge(rules=standard(), on_finding=findings.append, **options)
    signals: list[Signal] = []
    start = 0
    while start < len(texts):
        size = data.draw(st.integers(1, 40))
        signals += bridge.feed_lines(Lines("lines", start + 1, texts[start : start + size]))
        start += size
    signals += bridge.drain()
    assert Run(signals, bridge.tally, []).text == one_by_one.text
    assert bridge.tally == one_by_one.tally
    assert [(each.code, each.mid, each.found) for each in findings] == [
        (each.code, each.mid, each.found) for each in one_by_one.findings
    ]


@given(worn(), policies)
def test_a_second_replay_gives_the_same(events: list[Any], policy: str) -> None:
    assert run(lines(events), policy=policy).text == run(lines(events), policy=policy).text


@given(worn(), policies)
def test_values_give_the_same_as_their_text(events: list[Any], policy: str) -> None:
    assert run(events, policy=policy).text == run(lines(events), policy=policy).text


@given(worn())
def test_a_drain_in_steps_gives_the_same(events: list[Any]) -> None:
    bridge = Bridge(rules=standard())
    signals: list[Signal] = []
    for event in events:
        signals += bridge.feed(event)
    for step in bridge.drain_steps(events=3):
        check_balance(bridge.tally)
        signals += step
    assert Run(signals, bridge.tally, []).text == run(events).text


# --- The accounts ----------------------------------------------------------------------------------------------------


@st.composite
def settings_of_a_live_run(draw: st.DrawFn) -> dict[str, Any]:
    """Return the options of a bridge that has to let go before it knows everything."""
    return {
        "policy": draw(policies),
        "lateness": draw(st.sampled_from((None, 0, SECOND, 10 * SECOND, 3600 * SECOND))),
        "memory": draw(st.sampled_from((1, 1_000, 5_000, 1 << 30))),
        "max_open_flows": draw(st.sampled_from((1, 2, 3, 1_000_000))),
        "idle_gap": draw(st.sampled_from((None, 0, 5 * SECOND, 1800 * SECOND))),
        "trace_scope": draw(scopes),
    }


def live_run(data: st.DataObject, events: list[Any], options: dict[str, Any]) -> Run:
    """Feed ``events`` to a bridge that is advanced now and then, and look at its accounts after each step."""
    findings: list[Finding] = []
    bridge = Bridge(rules=standard(), on_finding=findings.append, **options)
    signals: list[Signal] = []
    for document in lines(events):
        signals += bridge.feed(document)
        check_balance(bridge.tally)
        assert bridge.tally.open <= options["max_open_flows"]
        if data.draw(st.integers(0, 9)) == 0:
            signals += bridge.advance(T0_NS + data.draw(st.sampled_from((0, 3, 20, 2_000, 90_000))) * SECOND)
            check_balance(bridge.tally)
    for step in bridge.drain_steps(events=2):
        signals += step
        check_balance(bridge.tally)
    done = Run(signals, bridge.tally, findings)
    check_drained(done)
    return done


@given(st.data(), worn(), settings_of_a_live_run())
def test_the_accounts_balance_at_every_step(data: st.DataObject, events: list[Any], options: dict[str, Any]) -> None:
    check_found_once(live_run(data, events, options), lines(events))


@given(worn(), policies, scopes)
def test_every_event_is_found_once(events: list[Any], policy: str, scope: str) -> None:
    check_found_once(run(lines(events), policy=policy, trace_scope=scope), lines(events))


@given(worn(), policies)
def test_every_end_is_paired_orphaned_or_repeated(events: list[Any], policy: str) -> None:
    done = run(lines(events), policy=policy)
    tally = done.tally
    kept_out = [finding.event for finding in done.kept_out]
    translated = closing(readable(lines(events))) - closing(readable(kept_out))
    assert tally.paired + tally.orphan + tally.repeated == translated
    if policy != "reject":
        assert tally.violations["orphan_end"] == tally.orphan
        assert tally.violations["repeated_end"] == tally.repeated


# --- The shape of the output -----------------------------------------------------------------------------------------


@given(worn(), policies, scopes)
def test_spans_are_well_formed(events: list[Any], policy: str, scope: str) -> None:
    check_spans(run(lines(events), policy=policy, trace_scope=scope))


@given(st.data(), worn(), settings_of_a_live_run())
def test_spans_of_a_live_run_are_well_formed(data: st.DataObject, events: list[Any], options: dict[str, Any]) -> None:
    check_spans(live_run(data, events, options))


@given(worn(), scopes)
def test_repair_puts_children_inside_their_parents(events: list[Any], scope: str) -> None:
    check_contained(run(lines(events), policy="repair", trace_scope=scope))


@given(st.data(), worn(), settings_of_a_live_run())
def test_repair_contains_in_a_live_run_too(data: st.DataObject, events: list[Any], options: dict[str, Any]) -> None:
    check_contained(live_run(data, events, {**options, "policy": "repair"}))


@given(worn())
def test_nothing_that_is_written_under_reject_breaks_a_rule(events: list[Any]) -> None:
    done = run(lines(events), policy="reject")
    for span in done.spans:
        assert names.FLOW_VIOLATIONS not in span.attributes
        assert all(names.FLOW_VIOLATIONS not in event.attributes for event in span.events)


@given(worn())
def test_repair_leaves_no_flow_in_a_parent_that_may_not_hold_it(events: list[Any]) -> None:
    done = run(lines(events), policy="repair")
    by_id = {span.span_id: span for span in done.spans}
    for span in done.spans:
        rule = standard().by_kind.get(str(span.attributes.get(names.FLOW_TYPE)))
        if rule is None or names.FLOW_SEGMENT in span.attributes:
            continue
        around = [span]
        while around[-1].parent_span_id:
            around.append(by_id[around[-1].parent_span_id])
        kinds = [str(outer.attributes[names.FLOW_TYPE]) for outer in around[1:]]
        assert rule.accepts_parent(kinds[0] if kinds else "root")
        assert not kinds or not rule.within or rule.within in kinds


@pytest.mark.parametrize("policy", POLICIES)
@given(events=worn(unreadable=False))
def test_small_segments_lose_nothing(policy: str, events: list[Any]) -> None:
    done = run(lines(events), policy=policy, limits=Limits(span_events=2))
    check_found_once(done, lines(events))
    check_spans(done)
    if policy == "repair":
        check_contained(done)


@pytest.mark.parametrize("policy", POLICIES)
@given(data=st.data(), events=worn(unreadable=False))
def test_small_traces_lose_nothing(policy: str, data: st.DataObject, events: list[Any]) -> None:
    small = Limits(span_events=3, trace_bytes=1_500)
    documents = lines(events)
    done = run(documents, policy=policy, limits=small)
    assert run(data.draw(st.permutations(documents)), policy=policy, limits=small).text == done.text
    check_found_once(done, documents)
    check_spans(done)


@pytest.mark.parametrize("policy", POLICIES)
@given(data=st.data(), events=worn())
def test_small_bounds_on_what_is_remembered_lose_nothing(policy: str, data: st.DataObject, events: list[Any]) -> None:
    bounds = {
        "_open._QUIET_LANES": 1,
        "_open._LOOKED_AT": 2,
        "_open.DEEPEST": 3,
        "_flows.DEEPEST": 3,
        "_parked._MOST_EVENTS": 1,
        "_parked._REMEMBERED_REQUESTS": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in bounds.items():
            patch.setattr(f"sunbird_otel.{name}", bound)
        documents = lines(events)
        done = run(documents, policy=policy)
        assert run(data.draw(st.permutations(documents)), policy=policy).text == done.text
    check_found_once(done, documents)
    check_spans(done)
    if policy == "repair":
        check_contained(done)
