"""The questions that the engine asks of the rules, and the shipped files against the specification."""

from __future__ import annotations

from typing import Any

import pytest

from sunbird_otel._event import Event
from sunbird_otel._paths import reader
from sunbird_otel._rules import ANY, Closes, FlowRule, Match, Opens, Rules, WorkflowRule

STANDARD = Rules.standard()
FIELD = Rules.field()

CLIENT_FLOWS = ("app", "session", "player", "editor", "page", "qr", "collection", "resource", "assessment", "activity")


def event(eid: str, edata: dict[str, Any] | None = None, context: dict[str, Any] | None = None, **top: Any) -> Event:
    body = {"eid": eid, "mid": "m1", "context": context or {}, "edata": edata or {}, **top}
    return Event.of(body, 0)


def role_of(eid: str, type_: str | None = None, **top: Any) -> str:
    """Return the role in words: ``opens player``."""
    match STANDARD.role(event(eid, None if type_ is None else {"type": type_}, **top)):
        case Opens(rule):
            return f"opens {rule.kind}"
        case Closes(rule):
            return f"closes {rule.kind}"
        case None:
            return ""


# --- Paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("eid", "LOG"),
        ("edata.type", "api_access"),
        ("edata.data.runId", "7"),
        ("edata.flag", ""),
        ("edata.absent.deeper", ""),
        ("edata.type.deeper", ""),
        ("object.id", "do_1"),
        ("context.sid", "s1"),
        ("context.pdata.pid", "p1"),
        ("actor.id", "u1"),
        ("cdata.playsession", "ps1"),
        ("cdata.Request", ""),
        ("params.rid", "not-a-uuid"),
        ("params.status", "200"),
        ("params.type", "api_access"),
        ("uuid(params.rid)", ""),
        ("uuid(params.requestid)", "0b7a5c1e-1111-4222-8333-0123456789ab"),
    ],
)
def test_reader_reads(path: str, read: str) -> None:
    params = [{"rid": "not-a-uuid"}, {"requestid": "0b7a5c1e-1111-4222-8333-0123456789ab"}, {"status": 200}, "odd"]
    log = event(
        "LOG",
        {"type": "api_access", "flag": True, "data": {"runId": 7}, "params": params},
        {"sid": "s1", "pdata": {"id": "a", "pid": "p1"}, "cdata": [{"type": "PlaySession", "id": "ps1"}]},
        object={"id": "do_1", "type": "Content"},
        actor={"id": "u1", "type": "User"},
    )
    assert reader(path).read(log) == read


def test_params_of_one_object_and_of_none() -> None:
    assert event("LOG", {"url": "/a", "params": {"url": "/b"}}).params == {"url": "/b", "params": {"url": "/b"}}
    assert event("ACCESS", {"url": "/a"}).params == {"url": "/a"}


# --- Roles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eid", "type_", "role"),
    [
        ("START", "app", "opens app"),
        ("END", "app", "closes app"),
        ("START", "session", "opens session"),
        ("START", "Session", "opens session"),
        ("START", "sso", "opens activity"),
        ("START", "player", "opens player"),
        ("START", "Player", "opens player"),
        ("START", "content", "opens player"),
        ("END", "content", "closes player"),
        ("START", "TextBook", "opens collection"),
        ("START", "textbookunit", "opens collection"),
        ("START", "", "opens collection"),
        ("START", "Resource", "opens resource"),
        ("START", "Page", "opens page"),
        ("START", "view", "opens page"),
        ("START", "qr", "opens qr"),
        ("START", "editor", "opens editor"),
        ("START", "assessment", "opens assessment"),
        ("START", "workflow", "opens activity"),
        ("END", "something new", "closes activity"),
        ("LOG", "api_access", "opens request"),
        ("LOG", "Api_access", "opens request"),
        ("LOG", "system", ""),
        ("ACCESS", None, "opens request"),
        ("JOB_START", None, "opens job"),
        ("JOB_END", None, "closes job"),
        ("JOB_LOG", None, ""),
        ("IMPRESSION", "view", ""),
        ("start", "app", ""),
    ],
)
def test_role(eid: str, type_: str | None, role: str) -> None:
    assert role_of(eid, type_) == role
    assert role_of(eid, type_) == role, "the remembered answer is the same"


def test_role_of_a_services_audit() -> None:
    def audit(type_: str, state: str) -> str:
        match STANDARD.role(event("AUDIT", {"state": state}, object={"id": "s1", "type": type_})):
            case Opens(rule) | Closes(rule) as role:
                return f"{type(role).__name__} {rule.kind}"
            case None:
                return ""

    assert audit("Service", "Ready") == "Opens service"
    assert audit("service", "STOPPED") == "Closes service"
    assert audit("Service", "Draft") == ""
    assert audit("Content", "Ready") == ""


def test_more_conditions_go_first() -> None:
    general = FlowRule(kind="play", workflow="w", summary="", opens=(Match("START", _where(type=["player"])),))
    fallback = FlowRule(kind="rest", workflow="w", summary="", opens=(Match("START", _where(type=["*"], mode=["*"])),))
    special = FlowRule(
        kind="quiz", workflow="w", summary="", opens=(Match("START", _where(type=["player"], mode=["quiz"])),)
    )
    workflow = WorkflowRule(name="w", title="", flows=("play", "rest", "quiz"), default=True)
    rules = Rules((workflow,), (fallback, general, special))
    assert rules.role(event("START", {"type": "player", "mode": "Quiz"})) == Opens(special)
    assert rules.role(event("START", {"type": "player", "mode": "play"})) == Opens(general)
    assert rules.role(event("START", {"type": "page"})) == Opens(fallback)


def test_roles_of_many_values_are_not_kept_for_ever() -> None:
    rules = Rules.standard()
    for number in range(10_050):
        assert rules.role(event("START", {"type": f"kind {number}"})) == Opens(rules.by_kind["activity"])
    assert len(rules._claims["START"].roles) <= 10_000


def test_matches_overlap() -> None:
    players = Match("START", _where(type=["player", "content"]))
    assert players.overlaps(Match("START", _where(type=["content"])))
    assert not players.overlaps(Match("START", _where(type=["app"])))
    assert not players.overlaps(Match("END", _where(type=["player"])))
    assert not players.overlaps(Match("START", _where(type=["*"])))
    assert not players.overlaps(Match("START", _where(type=["player"], mode=["play"]))), "more conditions decide"
    assert Match("START", _where(mode=["play"])).overlaps(players), "conditions of other fields exclude nothing"


def _where(**values: list[str]) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((f"edata.{field}", frozenset(allowed)) for field, allowed in values.items())


# --- What a flow holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eid", ["ASSESS", "RESPONSE", "LEVEL_SET"])
def test_content_events_stand_in_a_player_only(eid: str) -> None:
    assert [flow.kind for flow in STANDARD.flows if STANDARD.may_hold(flow, eid)] == ["player", "assessment"]
    assert [flow.kind for flow in STANDARD.homes(eid)] == ["player", "assessment"]


@pytest.mark.parametrize(("eid", "home"), [("PLUGIN_LIFECYCLE", "editor"), ("JOB_LOG", "job")])
def test_events_with_one_home(eid: str, home: str) -> None:
    assert [flow.kind for flow in STANDARD.flows if STANDARD.may_hold(flow, eid)] == [home]


@pytest.mark.parametrize("eid", ["IMPRESSION", "INTERACT", "ERROR", "LOG", "FEEDBACK", "SEARCH", "SCAN"])
def test_client_flows_hold_any_other_event(eid: str) -> None:
    assert all(STANDARD.may_hold(STANDARD.by_kind[kind], eid) for kind in CLIENT_FLOWS)


def test_app_update_stands_in_the_app_outside_the_session() -> None:
    assert [flow.kind for flow in STANDARD.flows if STANDARD.may_hold(flow, "APP_UPDATE")] == ["app"]


def test_a_services_run_holds_no_event_of_its_requests() -> None:
    assert not any(STANDARD.may_hold(STANDARD.by_kind["service"], eid) for eid in ("LOG", "ACCESS", "IMPRESSION"))
    assert all(STANDARD.may_hold(STANDARD.by_kind["request"], eid) for eid in ("LOG", "ERROR"))


# --- Workflows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pdata_id", "pdata_pid", "marks"),
    [
        ("prod.sunbird.app", "", {"mobile_app"}),
        ("prod.diksha.app", "sunbird.app", {"mobile_app"}),
        ("", "sunbird.app.contentplayer", {"mobile_app"}),
        ("prod.sunbird.portal", "sunbird-portal", set[str]()),
        ("", "", set[str]()),
    ],
)
def test_marks_of_producer(pdata_id: str, pdata_pid: str, marks: set[str]) -> None:
    assert STANDARD.marks_of_producer(pdata_id, pdata_pid) == marks
    assert STANDARD.marks_of_producer(pdata_id, pdata_pid) == marks, "the remembered answer is the same"


def test_marks_of_many_producers_are_not_kept_for_ever() -> None:
    rules = Rules.standard()
    for number in range(10_050):
        rules.marks_of_producer(f"{number}.app", "")
    assert len(rules._producers) <= 10_000


@pytest.mark.parametrize(
    ("kinds", "marks", "workflow"),
    [
        (["session"], [], "portal"),
        (["session", "player"], [], "portal"),
        (["session"], ["mobile_app"], "mobile_app"),
        (["app", "session", "player"], [], "mobile_app"),
        (["session", "editor", "request"], [], "editor"),
        (["session", "request"], [], "portal"),
        (["request"], [], "backend_service"),
        (["service"], [], "backend_service"),
        (["job"], [], "analytics_job"),
        (["page"], [], "portal"),
        ([], [], "portal"),
    ],
)
def test_workflow_of(kinds: list[str], marks: list[str], workflow: str) -> None:
    assert STANDARD.workflow_of(frozenset(kinds), frozenset(marks)) == workflow


def test_workflow_of_rules_without_default() -> None:
    assert Rules((), ()).workflow_of(frozenset({"session"}), frozenset()) == ""


# --- The shipped files against the specification -----------------------------------------------------------------


def test_five_workflows_in_the_order_of_the_specification() -> None:
    names = ["mobile_app", "portal", "editor", "backend_service", "analytics_job"]
    assert [workflow.name for workflow in STANDARD.workflows] == names
    assert [workflow.name for workflow in STANDARD.workflows if workflow.default] == ["portal"]
    assert (STANDARD.profile, FIELD.profile) == ("standard", "field")


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        ("app", "root"),
        ("session", "app"),
        ("session", "root"),
        ("player", "session"),
        ("editor", "session"),
        ("service", "root"),
        ("request", "service"),
        ("request", "editor"),
        ("job", "root"),
    ],
)
def test_nesting_of_the_specification_is_allowed(kind: str, parent: str) -> None:
    assert STANDARD.by_kind[kind].accepts_parent(parent)
    assert STANDARD.depth[kind] > STANDARD.depth[parent]


@pytest.mark.parametrize(
    ("kind", "parent"),
    [("app", "session"), ("session", "player"), ("player", "root"), ("editor", "root"), ("job", "job"), ("app", "app")],
)
def test_other_nesting_is_marked(kind: str, parent: str) -> None:
    assert not STANDARD.by_kind[kind].accepts_parent(parent)


def test_collections_nest_in_each_other() -> None:
    collection = STANDARD.by_kind["collection"]
    assert collection.accepts_parent("collection")
    assert collection.same == ("edata.type", "object.id")


def test_players_and_editors_stand_within_a_session() -> None:
    assert {flow.kind for flow in STANDARD.flows if flow.within == "session"} == {"player", "assessment", "editor"}


def test_what_may_stay_open() -> None:
    open_ended = {flow.kind: flow.may_stay_open for flow in STANDARD.flows if flow.may_stay_open}
    assert open_ended == {"session": {"portal", "editor"}, "service": {ANY}}


def test_idle_gaps() -> None:
    hour_ns = 3600 * 10**9
    gaps = {flow.kind: flow.idle_gap_ns for flow in STANDARD.flows}
    assert gaps.pop("service") is None
    assert gaps.pop("job") == 6 * hour_ns
    assert set(gaps.values()) == {hour_ns // 2}


def test_pairing_keys_of_a_player() -> None:
    assert STANDARD.by_kind["player"].pair == (
        ("cdata.PlaySession",),
        ("cdata.ContentSession", "edata.type"),
        ("edata.type", "object.id", "edata.mode"),
    )


def test_field_accepts_what_clients_do_on_purpose() -> None:
    assert FIELD.by_kind["app"].accepts_parent("session")
    assert FIELD.by_kind["app"].may_stay_open == {ANY}
    assert FIELD.by_kind["session"].may_stay_open == {"portal", "editor", "mobile_app"}
    assert FIELD.depth == STANDARD.depth, "what is tolerated does not change the shape"
    unchanged = {kind: rule for kind, rule in STANDARD.by_kind.items() if kind not in {"app", "session"}}
    assert {kind: FIELD.by_kind[kind] for kind in unchanged} == unchanged
