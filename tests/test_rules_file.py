"""Rule files: what they become, and the exact words with which a bad one is refused."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from events import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunbird_otel import Bridge, RuleError, Rules, Span, names
from sunbird_otel._event import Event
from sunbird_otel._rules import ANY, Closes, Match, Opens
from sunbird_otel._rules_file import duration_ns, load_rules
from sunbird_otel._rules_file._lines import Lines

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "rules"
SHIPPED = "sunbird_otel/workflows"

GOOD = """\
[workflow]
name = "quiz"
title = "Quiz service"
marked_by_flows = ["quiz"]

[flows.quiz]
summary = "one attempt"
opens = [{ eid = "START", "edata.type" = ["Quiz"] }]
closes = [{ eid = "END", "edata.type" = ["Quiz"] }]
pair = [["edata.type", "object.id"]]
parents = ["session"]
holds = ["*"]
"""


@pytest.fixture(autouse=True)
def _stand_in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "quiz.toml") -> str:
    Path(name).write_text(text, "utf-8")
    return name


def faults(text: str) -> list[str]:
    """Return the lines of the refusal of a file; none when it is accepted."""
    try:
        load_rules(write(text))
    except RuleError as error:
        return str(error).splitlines()
    return []


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def event(eid: str, type_: str, object_type: str = "") -> Event:
    parts = {"context": {}, "object": {"id": "q1", "type": object_type}, "edata": {"type": type_}}
    return Event.of({"eid": eid, "mid": "m1", **parts}, 0)


# --- What is loaded ----------------------------------------------------------------------------------------------


def test_without_sources_the_standard_profile() -> None:
    assert load_rules().flows == load_rules("standard").flows == Rules.standard().flows
    assert load_rules("field").flows == Rules.field().flows != Rules.standard().flows


def test_a_file_adds_its_workflow_to_the_standard() -> None:
    rules = load_rules(write(GOOD))
    assert [workflow.name for workflow in rules.workflows][-2:] == ["analytics_job", "quiz"]
    assert rules.profile == "standard, quiz.toml"
    quiz = rules.by_kind["quiz"]
    assert quiz.workflow == "quiz"
    assert quiz.opens == (Match("START", (("edata.type", frozenset({"quiz"})),)),), "values are in lower case"
    assert quiz.pair == (("edata.type", "object.id"),)
    assert quiz.idle_gap_ns == duration_ns("30m"), "the default"
    assert rules.role(event("START", "QUIZ")) == Opens(quiz)
    assert rules.role(event("END", "quiz")) == Closes(quiz)
    assert rules.role(event("START", "other")) == Opens(rules.by_kind["activity"])
    workflow = rules.workflows[-1]
    assert (workflow.flows, workflow.precedence, workflow.source) == (("quiz",), 50, "quiz.toml")
    assert rules.workflow_of(frozenset({"session", "quiz"}), frozenset({"mobile_app"})) == "quiz"


def test_the_profile_is_the_base_wherever_it_stands() -> None:
    name = write("[adjust.app]\ntolerates = []\n", "strict.toml")
    for rules in (load_rules("field", name), load_rules(name, "field")):
        assert rules.profile == "field, strict.toml"
        assert rules.by_kind["app"].tolerates == frozenset()
        assert rules.by_kind["app"].may_stay_open == {ANY}


def test_what_is_in_force_is_named_without_the_way_to_it(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    more = tmp_path / "rules" / "more.toml"
    more.write_text('[extend.app]\ntolerates = ["page"]\n', "utf-8")
    assert load_rules(more, write(GOOD)).profile == "standard, more.toml, quiz.toml"
    assert (load_rules().profile, load_rules("field").profile) == ("standard", "field")


def test_a_file_may_be_called_like_a_profile() -> None:
    write(GOOD, "field")
    assert "quiz" in load_rules("./field").by_kind
    assert "quiz" in load_rules(Path("field")).by_kind
    assert "quiz" not in load_rules("field").by_kind


def test_a_file_replaces_the_workflow_of_the_same_name_with_its_flows() -> None:
    text = """\
[workflow]
name = "analytics_job"
title = "Our jobs"
marked_by_flows = ["run"]
inside_only = ["JOB_LOG"]
[flows.run]
summary = "a run"
opens = [{ eid = "JOB_START" }]
closes = [{ eid = "JOB_END" }]
pair = [["context.sid"]]
holds = ["JOB_LOG"]
idle_gap = "7d"
"""
    rules = load_rules(write(text))
    assert [workflow.title for workflow in rules.workflows][-1] == "Our jobs", "it keeps its place"
    assert "job" not in rules.by_kind
    assert rules.by_kind["run"].idle_gap_ns == 7 * 86_400 * 10**9


def test_later_files_lie_upon_earlier_ones() -> None:
    first = write(GOOD, "first.toml")
    second = write(changed('"one attempt"', '"one try"'), "second.toml")
    third = write('[adjust.quiz]\nidle_gap = "never"\n', "third.toml")
    rules = load_rules(first, second, third)
    assert rules.by_kind["quiz"].summary == "one try"
    assert rules.by_kind["quiz"].idle_gap_ns is None


def test_an_adjustment_replaces_the_word_and_leaves_the_others() -> None:
    before = Rules.standard().by_kind["job"]
    after = load_rules(write('[adjust.job]\nholds = ["LOG", "JOB_LOG"]\nfails = {}\n')).by_kind["job"]
    assert (after.holds, after.fails) == (frozenset({"LOG", "JOB_LOG"}), ())
    assert (after.opens, after.idle_gap_ns, after.workflow) == (before.opens, before.idle_gap_ns, before.workflow)


def test_an_extension_adds_to_what_the_profile_has_said() -> None:
    text = (
        GOOD
        + """
[extend.session]
may_stay_open = ["quiz", "portal"]
[extend.app]
tolerates = ["quiz"]
[extend.player]
opens = [{ eid = "PLAY" }]
parents = ["quiz"]
joins = ["cdata.quiz", "context.sid"]
excludes = ["QUIZ_LOG"]
"""
    )
    for profile, session in (("standard", ["portal", "editor"]), ("field", ["portal", "editor", "mobile_app"])):
        before, after = load_rules(profile).by_kind, load_rules(profile, write(text)).by_kind
        assert after["session"].may_stay_open == {*session, "quiz"}
        assert after["app"].tolerates == before["app"].tolerates | {"quiz"}
        assert after["app"].may_stay_open == before["app"].may_stay_open
        assert after["player"].parents == before["player"].parents | {"quiz"}
        assert after["player"].opens == (*before["player"].opens, Match("PLAY"))
        assert after["player"].joins == ("context.sid", "cdata.session", "cdata.quiz"), "nothing twice"
        assert after["player"].excludes == {"APP_UPDATE", "QUIZ_LOG"}
        assert after["player"].pair == before["player"].pair


def test_an_extension_adds_to_the_default_of_a_word() -> None:
    rules = load_rules(write(GOOD.replace('parents = ["session"]\n', "") + '[extend.quiz]\nparents = ["session"]\n'))
    assert rules.by_kind["quiz"].parents == {"root", "session"}


def test_new_keys_of_a_pair_go_before_the_last_one() -> None:
    text = '[extend.player]\npair = [["cdata.A"], ["cdata.PlaySession"], ["cdata.B", "edata.type"]]\n'
    rules = load_rules(write(text))
    old = Rules.standard().by_kind["player"].pair
    assert rules.by_kind["player"].pair == (("cdata.A",), ("cdata.B", "edata.type"), *old)


def test_new_values_of_a_failure_go_to_those_of_their_path() -> None:
    text = '[extend.job.fails]\n"edata.status" = ["Broken", "failed"]\n"edata.code" = ["1"]\n'
    fails = load_rules(write(text)).by_kind["job"].fails
    status = frozenset({"failed", "failure", "error", "broken"})
    assert fails == (("edata.status", status), ("edata.code", frozenset({"1"})))


def test_files_extend_and_adjust_in_their_order() -> None:
    more = write('[extend.job]\nholds = ["SEARCH"]\n', "more.toml")
    other = write('[adjust.job]\nholds = ["JOB_LOG"]\n', "other.toml")
    both = write('[extend.job]\nholds = ["SEARCH"]\n[adjust.job]\nholds = ["JOB_LOG"]\n', "both.toml")
    job = Rules.standard().by_kind["job"].holds
    assert load_rules(more).by_kind["job"].holds == job | {"SEARCH"}
    assert load_rules(more, other).by_kind["job"].holds == {"JOB_LOG"}
    assert load_rules(other, more).by_kind["job"].holds == {"JOB_LOG", "SEARCH"}
    assert load_rules(both).by_kind["job"].holds == {"JOB_LOG", "SEARCH"}, "adjust comes first"


def test_paths_may_be_written_without_quotes() -> None:
    quiet = load_rules(write(GOOD.replace('"edata.type" =', "edata.type ="))).by_kind["quiz"]
    assert quiet == load_rules(write(GOOD)).by_kind["quiz"]
    job = load_rules(write('[adjust.job.fails]\nedata.status = ["Broken"]\n')).by_kind["job"]
    assert job.fails == (("edata.status", frozenset({"broken"})),)


def test_a_byte_order_mark_and_line_ends_of_windows_are_accepted() -> None:
    Path("quiz.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert "quiz" in load_rules("quiz.toml").by_kind


def test_what_may_turn_the_shape_round_is_no_circle() -> None:
    assert faults(GOOD + 'tolerates = ["player"]\n[adjust.session]\ntolerates = ["quiz"]\n') == []


def test_more_conditions_may_overlap_fewer() -> None:
    rules = load_rules(write(GOOD.replace('["Quiz"]', '["player"], "object.type" = ["Quiz"]')))
    assert rules.role(event("START", "player")) == Opens(rules.by_kind["player"])
    assert rules.role(event("START", "player", "QUIZ")) == Opens(rules.by_kind["quiz"])


def test_the_example_of_a_workflow() -> None:
    rules = load_rules(EXAMPLES / "quiz.toml")
    assert rules.role(event("START", "quiz-round")) == Opens(rules.by_kind["round"])
    assert rules.workflow_of(frozenset({"session", "quiz", "round"}), frozenset()) == "quiz"
    standard = Rules.standard().by_kind
    assert rules.by_kind["player"].parents == standard["player"].parents | {"quiz", "round"}
    assert rules.by_kind["session"].may_stay_open == standard["session"].may_stay_open | {"quiz"}
    assert [flow.kind for flow in rules.flows if rules.may_hold(flow, "QUIZ_ANSWER")] == ["round"]
    assert rules.depth["session"] < rules.depth["quiz"] < rules.depth["round"] < rules.depth["player"]


def test_the_example_in_the_bridge() -> None:
    client = Client(pdata="test.quiz", pid="quiz-web", did="d1", sid="s1")
    events = [client.start(0, "session"), client.start(1, "quiz"), client.start(2, "quiz-round")]
    events += [client.event("QUIZ_ANSWER", 3, {}), client.start(4, "player"), client.end(5, "player")]
    events += [client.end(6, "quiz-round"), client.event("QUIZ_ANSWER", 7, {}), client.end(8, "quiz")]
    bridge = Bridge(rules=Rules.load(EXAMPLES / "quiz.toml"))
    signals = [signal for event in events for signal in bridge.feed(event)] + bridge.drain()
    spans = {signal.span_id: signal for signal in signals if isinstance(signal, Span)}
    assert all(span.attributes[names.WORKFLOW] == "quiz" for span in spans.values())
    parents = {span.name: spans[span.parent_span_id].name for span in spans.values() if span.parent_span_id}
    assert parents == {"player": "round", "round": "quiz", "quiz": "session", "sunbird.quiz_answer": "quiz"}
    assert bridge.tally.report()["violations"] == {"event_outside_flow": 1}, "the answer after the round"


def test_the_example_of_adjustments() -> None:
    rules = load_rules("field", EXAMPLES / "long-sessions.toml", EXAMPLES / "quiz.toml")
    assert rules.profile == "field, long-sessions.toml, quiz.toml"
    assert rules.by_kind["session"].may_stay_open == Rules.field().by_kind["session"].may_stay_open | {"quiz"}
    assert rules.by_kind["session"].idle_gap_ns == duration_ns("8h")
    assert rules.by_kind["service"].members == "child"


# --- Durations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("36h", 129_600), ("7d", 604_800), ("007s", 7)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration_ns(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "0s", "30", "m", "1.5h", "-1h", "30 m", "30M", "1h30m", "1h\n", "Never", "٣s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(text)}\Z"):
        duration_ns(text)


# --- Files that cannot be read -----------------------------------------------------------------------------------


def test_no_such_file() -> None:
    with pytest.raises(RuleError) as caught:
        load_rules("feild")
    text = 'feild: no such file; expected "standard", "field" or a rule file; did you mean "field"?'
    assert str(caught.value) == text
    with pytest.raises(RuleError, match=r"^quiz\.toml: no such file; .*; check the path$"):
        load_rules("quiz.toml")


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    with pytest.raises(RuleError) as caught:
        load_rules("rules")
    assert str(caught.value) == "rules: found a directory; expected a rule file; name a file in it"


def test_another_reason_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RuleError) as caught:
        load_rules("loop")
    reason = "Too many levels of symbolic links"
    assert str(caught.value) == f"loop: {reason}; expected a rule file; check the path and its permissions"


def test_not_utf_8() -> None:
    Path("quiz.toml").write_bytes(b'[workflow]\ntitle = "Qu\xefz"\n')
    with pytest.raises(RuleError) as caught:
        load_rules("quiz.toml")
    assert str(caught.value) == "quiz.toml:2: found the byte 0xef; expected UTF-8; save the file as UTF-8"


def test_both_profiles() -> None:
    with pytest.raises(RuleError) as caught:
        load_rules("field", "standard")
    text = 'found both profiles, "standard" and "field"; expected at most one; name one of them'
    assert str(caught.value) == text


def test_all_files_that_cannot_be_read_are_named_and_the_form_of_the_others() -> None:
    write("a = \n", "a.toml")
    write("[adjust.job]\nidle = 1\n", "c.toml")
    with pytest.raises(RuleError) as caught:
        load_rules("a.toml", "b.toml", "c.toml")
    starts = [line.partition("; ")[0] for line in str(caught.value).splitlines()]
    assert starts == [
        "a.toml:1: Invalid value in column 5",
        "b.toml: no such file",
        'c.toml:2: unknown word "idle" in [adjust.job]',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[workflow]\nname = "a\n', "quiz.toml:2: Illegal character '\\n' in column 10"),
        ("[workflow]\n\nflows = [\n  1", "quiz.toml:4: Unclosed array at the end of the file"),
        ("[workflow]\r\n[workflow]\r\n", "quiz.toml:2: Cannot declare ('workflow',) twice in column 10"),
        ("x = " + "[" * 5000, "quiz.toml:1: lists or tables nest too deeply"),
    ],
)
def test_no_toml(text: str, message: str) -> None:
    (found,) = faults(text)
    assert found.partition("; ")[0] == message
    assert "; expected valid TOML; correct the line" in found or "; expected a rule file; flatten it" in found


# --- Refusals ----------------------------------------------------------------------------------------------------


def cases() -> list[dict[str, Any]]:
    return cast(
        "list[dict[str, Any]]", tomllib.loads((Path(__file__).parent / "rule_refusals.toml").read_text("utf-8"))["case"]
    )


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["says"].partition(";")[0])
def test_refusal(case: dict[str, Any]) -> None:
    lines = GOOD.splitlines(keepends=True)
    first = case["at"] - 1
    lines[first : first + case.get("drop", 0)] = [case.get("put", "")]
    said = [re.sub(rf"({SHIPPED}/\w+\.toml):\d+", r"\1:N", line) for line in faults("".join(lines))]
    assert said == [case["says"]]


def test_a_replaced_workflow_must_define_what_others_need() -> None:
    text = changed('"quiz"\ntitle', '"portal"\ntitle').replace("title =", "default = true\ntitle =")
    found = faults(text)
    assert [line.partition(", which ")[0] for line in found] == [
        'quiz.toml:2: workflow "portal" is replaced here without its flow "session"',
        'quiz.toml:2: workflow "portal" is replaced here without its flow "page"',
    ]
    assert found[1].endswith("; expected [flows.page]; define it, or give the workflow another name")
    assert ", player, " in found[0]


def test_no_workflow_is_the_default() -> None:
    shipped = Path(__file__).resolve().parent.parent / "src" / "sunbird_otel" / "workflows" / "portal.toml"
    text = re.sub(r"^default.*\n", "", shipped.read_text("utf-8"), flags=re.MULTILINE)
    message = (
        "quiz.toml:2: no workflow is the default; expected one for what nothing marks; write default = true in one"
    )
    assert faults(text) == [message]


def test_all_faults_of_all_files_at_once_in_the_order_of_their_lines() -> None:
    first = write(GOOD.replace("title", "titel").replace('"session"', '"sesion"') + 'idle_gap = "1"\n', "first.toml")
    second = write('[adjust.quiz]\nscope = "x"\n[adjust.player]\nparents = ["sessions"]\n', "second.toml")
    with pytest.raises(RuleError) as caught:
        load_rules(first, second)
    assert [line.partition("; ")[0] for line in str(caught.value).splitlines()] == [
        'first.toml:3: unknown word "titel" in [workflow]',
        'first.toml:11: parents of flow "quiz" names "sesion", which is no flow',
        'first.toml:13: idle_gap in [flows.quiz] is "1"',
        'second.toml:2: scope in [adjust.quiz] is "x"',
        'second.toml:4: parents of flow "player" names "sessions", which is no flow',
    ]


def test_each_entry_of_a_list_is_found_in_the_file_that_added_it() -> None:
    first = write(changed('"session"', '"sesion"'), "first.toml")
    second = write('[extend.quiz]\nparents = [\n  "session",\n  "playr",\n]\n', "second.toml")
    third = write('[extend.quiz]\nparents = ["apps", "playr"]\nexcludes = ["LOG"]\n', "third.toml")
    with pytest.raises(RuleError) as caught:
        load_rules(first, second, third)
    assert [line.partition(", which ")[0] for line in str(caught.value).splitlines()] == [
        'first.toml:11: parents of flow "quiz" names "sesion"',
        'second.toml:4: parents of flow "quiz" names "playr"',
        'third.toml:2: parents of flow "quiz" names "apps"',
    ]


def test_an_adjustment_takes_away_what_was_wrong_before() -> None:
    first = write(GOOD + '[extend.quiz]\nparents = ["sesion"]\n', "first.toml")
    second = write('[adjust.quiz]\nparents = ["session"]\n', "second.toml")
    assert load_rules(first, second).by_kind["quiz"].parents == {"session"}


def test_a_word_that_cannot_be_used_is_not_said_to_be_missing() -> None:
    (found,) = faults(changed('closes = [{ eid = "END", ', 'closes = [{ eid = "end", '))
    assert found.startswith('quiz.toml:9: "eid" of closes in [flows.quiz] is "end"')
    lone = changed('closes = [{ eid = "END", "edata.type" = ["Quiz"] }]\n', "")
    (found,) = faults(lone + '[extend.quiz]\ncloses = [{ eid = "end" }]\n')
    assert found.startswith('quiz.toml:13: "eid" of closes in [extend.quiz] is "end"')


# --- Anything at all ---------------------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["root", "session", "*", "LOG"])
)
WORDS = st.sampled_from(
    ["opens", "closes", "parents", "pair", "idle_gap", "fails", "holds", "eid", "name", "flows", "edata.x"]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


Tree: TypeAlias = "bool | int | str | list[Tree] | dict[str, Tree]"


def toml(value: Tree) -> str:
    """Write a value inline."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()]
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[\n{''.join(f'  {toml(inner)},{chr(10)}' for inner in value)}]"
    return json.dumps(value)


@given(
    st.dictionaries(
        st.sampled_from(["workflow", "flows", "adjust", "extend", "x"]),
        TREES | st.dictionaries(WORDS, TREES),
        max_size=3,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_file_says_is_accepted_or_refused_by_line(document: dict[str, Tree]) -> None:
    text = "".join(f"{key} = {toml(value)}\n" for key, value in document.items())
    for line in faults(text):
        place, _, rest = line.partition(": ")
        assert place.startswith("quiz.toml:")
        assert 1 <= int(place.removeprefix("quiz.toml:")) <= text.count("\n") + 1
        assert "; expected " in rest or "; correct " in rest


# --- Lines -------------------------------------------------------------------------------------------------------


def test_lines_of_anything_in_toml() -> None:
    text = '''\
# [comment] = "x"
top = 1 # = ]
"a b" . 'c'.d = """
[no.table]
a = \\""" still
"""" # four quotes
[table . "quoted\\u0041"]
list = [ # ]
  'one', [2,
  3], { x = "]", y.z = [
    4 ] },
]
date = 1979-05-27 07:32:00Z
literal = \'\'\'
\'x\'\'\'\'
[[many]]
a = 1
[[many]]
a = {}
'''
    lines = Lines(text)
    assert lines.find(("top",)) == 2
    assert lines.find(("a b", "c", "d")) == 3
    assert lines.find(("table", "quotedA")) == 7
    assert lines.find(("table", "quotedA", "list", 0)) == 9
    assert lines.find(("table", "quotedA", "list", 1, 1)) == 10
    assert lines.find(("table", "quotedA", "list", 2, "x")) == 10
    assert lines.find(("table", "quotedA", "list", 2, "y", "z", 0)) == 11
    assert lines.find(("table", "quotedA", "date")) == 13
    assert lines.find(("table", "quotedA", "literal")) == 14
    assert lines.find(("many", 0, "a")) == 17
    assert lines.find(("many", 1, "a")) == 19
    assert lines.find(("many", 1, "b", "c")) == 18, "the nearest"
    assert lines.find(("nothing",)) == 1
