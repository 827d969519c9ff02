"""The change of tongue: which name, kind, status and attributes a span, a span event and a metric point get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bridging import Run, run
from events import EDITOR, JOB, MOBILE, PLATFORM, PLAYER, PORTAL, T0, Event, content, correlation
from hypothesis import given
from hypothesis import strategies as st

from sunbird_otel import names
from sunbird_otel._fields import route
from sunbird_otel._signals import Attributes, Resource, SpanKind, StatusCode
from sunbird_otel._values import attribute_value

T0_NS = T0 * 1_000_000
RID = "6f0b2f6e-1111-4222-8333-0123456789ab"


def start_of(edata: Event, eid: str = "START", **more: Any) -> Attributes:
    """Return the attributes of the flow that one opening event makes."""
    return run([PORTAL.event(eid, 0, edata, **more)]).spans[0].attributes


def event_of(eid: str, edata: Event, **more: Any) -> Attributes:
    """Return the attributes of the span event that stands for one event in a session."""
    done = run([PORTAL.start(0, "session"), PORTAL.event(eid, 1, edata, **more)])
    return done.flow("session").events[0].attributes


def request_of(edata: Event, eid: str = "LOG") -> Any:
    return run([PLATFORM.event(eid, 0, edata)]).flow("request")


def params(**fields: Any) -> Event:
    """Return the edata of a LOG api_access."""
    return {"type": "api_access", "params": [{key: value} for key, value in fields.items()]}


# --- Values ----------------------------------------------------------------------------------------------------------


VALUES: list[tuple[object, object]] = [
    ("text", "text"),
    (True, True),
    (False, False),
    (0, 0),
    (1.5, 1.5),
    (-(1 << 63), -(1 << 63)),
    (1 << 63, float(1 << 63)),
    (["a", "b"], ["a", "b"]),
    ([1, 2], [1, 2]),
    ([1, 2.5], [1.0, 2.5]),
    ([True, False], [True, False]),
    ([True, 1], "[true,1]"),
    (["a", 1], '["a",1]'),
    (["a", None], '["a",null]'),
    ([1, 1 << 63], "[1,9223372036854775808]"),
    ([["a"]], '[["a"]]'),
    ({"a": 1}, '{"a":1}'),
    ([{}], "[{}]"),
    (None, None),
    ("", None),
    ([], None),
    ({}, None),
]


@pytest.mark.parametrize(("value", "attribute"), VALUES)
def test_a_value_becomes_what_an_attribute_can_carry(value: object, attribute: object) -> None:
    found = attribute_value(value)
    assert found == attribute
    assert type(found) is type(attribute)


SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_every_value_becomes_a_scalar_or_a_list_of_one_type(value: object) -> None:
    found = attribute_value(value)
    parts = found if isinstance(found, list) else [found]
    assert len({type(part) for part in parts}) == 1
    assert type(parts[0]) in {str, bool, int, float, type(None)}


# --- Flows -----------------------------------------------------------------------------------------------------------


def test_a_flow_span_says_what_it_is() -> None:
    start, end = PLAYER.start(1, "Content", "play", object=content("do_1", ver="7")), PLAYER.end(9, "content", "Play")
    span = run([MOBILE.start(0, "session"), start, end]).flow("player")
    assert (span.name, span.kind, span.status) == ("player", SpanKind.INTERNAL, StatusCode.UNSET)
    assert (span.start_ns, span.end_ns) == (T0_NS + 1_000_000_000, T0_NS + 9_000_000_000)
    assert span.resource == Resource(PLAYER.pdata, PLAYER.ver)
    expected: Attributes = {
        names.FLOW_TYPE: "player",
        names.WORKFLOW: "mobile_app",
        names.FLOW_END_REASON: "end",
        names.EDATA_TYPE: "Content",
        names.EDATA_MODE: "play",
        names.START_MID: start["mid"],
        names.END_MID: end["mid"],
        names.SESSION_ID: PLAYER.sid,
        names.DEVICE_ID: PLAYER.did,
        names.USER_ID: PLAYER.actor,
        names.ACTOR_TYPE: "User",
        names.CHANNEL: PLAYER.channel,
        names.ENV: "contentplayer",
        names.PDATA_PID: PLAYER.pid,
        names.OBJECT_ID: "do_1",
        names.OBJECT_TYPE: "Content",
        names.OBJECT_VERSION: "7",
        names.PAGE_ID: "content-page",
    }
    assert expected.items() <= span.attributes.items()


def test_what_the_end_says_otherwise_stands_beside() -> None:
    start = PLAYER.start(0, "content", object=content("do_1", ver=""))
    end = PLAYER.event("END", 9, {"type": "content", "pageid": "endpage"}, object=content("do_1", ver="16"))
    attributes = run([start, end]).flow("player").attributes
    assert attributes[names.PAGE_ID] == "content-page"
    assert attributes[names.OBJECT_VERSION] == "16", "the START left it open"
    assert "endpage" in json.dumps([value for key, value in attributes.items() if key.startswith("sunbird.end.")])


def test_the_duration_and_summary_of_an_end_stay_as_given() -> None:
    edata = {"type": "session", "duration": 12.5, "summary": [{"progress": 100}]}
    attributes = run([PORTAL.start(0, "session"), PORTAL.event("END", 5, edata)]).flow("session").attributes
    assert attributes["sunbird.end.duration"] == 12.5
    assert attributes["sunbird.end.summary"] == '[{"progress":100}]'


def test_fields_without_a_name_travel_as_one_json_text() -> None:
    attributes = start_of({"type": "session", "invented": 1, "other": {"deep": [None]}, "empty": ""})
    assert json.loads(str(attributes[names.EDATA_OTHER])) == {"invented": 1, "other": {"deep": [None]}}


def test_a_user_agent_has_its_conventional_name() -> None:
    attributes = start_of({"type": "session", "uaspec": {"agent": "Firefox", "raw": "Mozilla/5.0"}})
    assert attributes[names.USER_AGENT] == "Mozilla/5.0"


def test_correlation_data_stays_whole_and_play_ids_have_names() -> None:
    cdata = correlation(PlaySession="p1", ContentSession="c1", Feature="f")
    attributes = start_of({"type": "content"}, cdata=cdata)
    assert (attributes[names.PLAY_SESSION], attributes[names.CONTENT_SESSION]) == ("p1", "c1")
    assert json.loads(str(attributes[names.CDATA])) == cdata


def test_the_place_in_the_content_has_its_names() -> None:
    rollup = {"l1": "book", "l2": "unit", "l4": "leaf", "l5": "beyond"}
    attributes = start_of({"type": "content"}, object={**content("do_1"), "rollup": rollup})
    assert [attributes.get(key) for key in names.ROLLUP] == ["book", "unit", None, "leaf"]


def test_the_rollup_of_the_context_fills_in() -> None:
    attributes = start_of({"type": "session"}, context={"rollup": {"l1": "channel"}})
    assert attributes[names.ROLLUP[0]] == "channel"


def test_tags_are_a_list() -> None:
    assert start_of({"type": "session"}, tags=["a", "b"])[names.TAGS] == ["a", "b"]


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED", "failed"])
def test_a_failed_job_is_an_error(status: str) -> None:
    span = run([JOB.job_start(0), JOB.job_end(60, status)]).flow("job")
    assert span.status is (StatusCode.UNSET if status == "SUCCESS" else StatusCode.ERROR)
    assert span.attributes[names.JOB_NAME] == JOB.pid


def test_an_event_without_producer_has_an_empty_resource() -> None:
    event = PORTAL.impression(0)
    del event["context"]["pdata"]
    assert run([event]).spans[0].resource == Resource("", "")


# --- Events ----------------------------------------------------------------------------------------------------------


def test_a_span_event_has_name_time_and_mid() -> None:
    event = PORTAL.interact(1.25)
    (found,) = run([PORTAL.start(0, "session"), event]).flow("session").events
    assert (found.name, found.time_ns) == ("sunbird.interact", T0_NS + 1_250_000_000)
    assert found.attributes[names.MID] == event["mid"]


def test_a_span_event_repeats_nothing_of_the_span_around() -> None:
    attributes = event_of("INTERACT", {"type": "TOUCH", "id": "play", "pageid": "home"})
    assert attributes.keys() == {
        names.MID, names.PAGE_ID, "sunbird.interact.type", "sunbird.interact.id",
    }  # fmt: skip


def test_a_span_event_says_who_and_where_when_that_differs() -> None:
    attributes = event_of("INTERACT", {}, actor={"id": "u2", "type": "User"}, context={"env": "other", "sid": "s2"})
    assert attributes.items() >= {names.USER_ID: "u2", names.ENV: "other", names.SESSION_ID: "s2"}.items()
    assert names.DEVICE_ID not in attributes


@pytest.mark.parametrize(
    ("eid", "edata", "key", "value"),
    [
        ("IMPRESSION", {"type": "view", "visits": [{"objid": "x"}]}, "sunbird.impression.visits", '[{"objid":"x"}]'),
        ("ASSESS", {"score": 0, "pass": "No"}, "sunbird.assess.score", 0),
        ("ASSESS", {"item": {"id": "q1", "maxscore": 2}}, "sunbird.assess.item.id", "q1"),
        ("ERROR", {"err": "E1", "errtype": "SYSTEM", "stacktrace": "at x"}, names.EXCEPTION_MESSAGE, "E1"),
        ("ERROR", {"err": "E1", "errtype": "SYSTEM", "stacktrace": "at x"}, names.ERROR_TYPE, "SYSTEM"),
        ("ERROR", {"err": "E1", "errtype": "SYSTEM", "stacktrace": "at x"}, names.EXCEPTION_STACKTRACE, "at x"),
        ("FEEDBACK", {"rating": 4.5}, "sunbird.feedback.rating", 4.5),
        ("SEARCH", {"size": 3, "query": "plants"}, "sunbird.search.size", 3),
        ("SHARE", {"items": [{"id": "a"}, {"id": "b"}, {"id": 7}]}, names.SHARE_ITEM_IDS, ["a", "b"]),
        ("SHARE_ITEM", {"dir": "out"}, names.SYNTHETIC, True),
        ("LOG", {"type": "telemetry_audit"}, names.SYNTHETIC, True),
        ("UNHEARD_OF", {"x": 1}, names.EDATA_OTHER, '{"x":1}'),
    ],
)
def test_a_field_has_its_name_and_keeps_its_type(eid: str, edata: Event, key: str, value: object) -> None:
    holder = "player" if eid == "ASSESS" else "session"
    events = [PORTAL.start(0, "session"), PORTAL.start(1, "content"), PORTAL.event(eid, 2, edata)]
    if holder == "session":
        del events[1]
    attributes = run(events).flow(holder).events[-1].attributes
    assert attributes[key] == value
    assert type(attributes[key]) is type(value)


def test_an_instant_says_all_about_itself() -> None:
    attributes = run([EDITOR.interact(0)]).spans[0].attributes
    said = {names.SESSION_ID: EDITOR.sid, names.ENV: EDITOR.env, names.CHANNEL: EDITOR.channel}
    assert said.items() <= attributes.items()


# --- Requests --------------------------------------------------------------------------------------------------------


def test_a_request_is_a_server_span_named_by_method_and_route() -> None:
    event = PLATFORM.api_access(0, 40, RID, url="/content/v3/read/do_11330179562065100813290?mode=edit")
    span = run([event]).flow("request")
    assert (span.name, span.kind, span.status) == ("GET /content/v3/read/{id}", SpanKind.SERVER, StatusCode.UNSET)
    expected: Attributes = {
        names.MID: event["mid"],
        names.HTTP_METHOD: "GET",
        names.URL_PATH: "/content/v3/read/do_11330179562065100813290",
        names.URL_QUERY: "mode=edit",
        names.HTTP_STATUS: 200,
        names.REQUEST_ID: RID,
        names.REQUEST_DURATION: 40,
        names.FLOW_TYPE: "request",
    }
    assert expected.items() <= span.attributes.items()
    assert names.START_MID not in span.attributes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/read/12", "/v1/read/{id}"),
        ("/user/6f0b2f6e-1111-4222-8333-0123456789ab/roles", "/user/{id}/roles"),
        ("/user/6F0B2F6E111142228333012345678901", "/user/{id}"),
        ("/content/v3/read", "/content/v3/read"),
        ("/user/deadbeef-dead-beef-dead-beefdeadbeef", "/user/{id}"),
        ("/user/deadbeef-dead-beef-dead-beefdeadbeef-x", "/user/deadbeef-dead-beef-dead-beefdeadbeef-x"),
        ("/user/deadbeef-dead-beef-dead-beefdeadbeeg", "/user/deadbeef-dead-beef-dead-beefdeadbeeg"),
        ("/user/" + "deadbeef" * 4, "/user/{id}"),
        ("/a1b2c3/d1e2f3g4/5/6", "/a1b2c3/{id}/{id}/{id}"),
        ("12/read", "{id}/read"),
        ("/a/" + "x" * 40, "/a/" + "x" * 40),
        ("/a/" + "x" * 41, "/a/{id}"),
        ("https://host/api/v1/do_1234", "/api/v1/{id}"),
        ("", ""),
        ("/", "/"),
        ("no-slash", "no-slash"),
    ],
)
def test_a_route_has_no_ids(path: str, expected: str) -> None:
    assert route(path) == expected


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"method": "post", "url": "/x"}, "POST /x"),
        ({"url": "/x"}, "HTTP /x"),
        ({"method": "GET"}, "GET"),
        ({"method": "A METHOD", "url": "/x"}, "HTTP /x"),
        ({"method": 7, "url": ["x"]}, "HTTP"),
        ({}, "HTTP"),
    ],
)
def test_a_request_that_says_less_has_a_shorter_name(fields: Event, name: str) -> None:
    assert request_of(params(**fields)).name == name


@pytest.mark.parametrize(
    ("status", "code", "failed"),
    [(200, 200, False), ("404", 404, False), (499, 499, False), (500, 500, True), ("503", 503, True)],
)
def test_a_server_error_makes_the_request_fail(status: object, code: int, failed: bool) -> None:
    span = request_of(params(status=status))
    assert span.attributes[names.HTTP_STATUS] == code
    assert (span.status is StatusCode.ERROR) is failed


@pytest.mark.parametrize("status", ["OK", "successful", 7, 1000, True, "5OO"])
def test_a_status_that_is_no_http_status_is_kept_as_given(status: object) -> None:
    span = request_of(params(status=status))
    assert span.attributes[names.REQUEST_STATUS] == status
    assert names.HTTP_STATUS not in span.attributes


def test_the_name_of_an_api_is_no_request_id() -> None:
    attributes = request_of(params(rid="api.content.read")).attributes
    assert attributes[names.REQUEST_API] == "api.content.read"
    assert names.REQUEST_ID not in attributes


def test_an_empty_name_of_an_api_is_left_out() -> None:
    event = PLATFORM.event("LOG", 0, params(rid=""))
    event["context"] = {**event["context"], "cdata": correlation(Request="r1")}
    attributes = run([event]).flow("request").attributes
    assert attributes[names.REQUEST_ID] == "r1"
    assert names.REQUEST_API not in attributes


def test_params_of_any_form_are_read() -> None:
    fields = {"method": "GET", "url": "/x", "status": 200, "duration": 40}
    spans = [
        request_of(params(**fields)),
        request_of({**params(), "params": fields}),
        request_of({**params(), "params": [fields, None, "odd"]}),
        request_of(fields, eid="ACCESS"),
    ]
    assert {span.name for span in spans} == {"GET /x"}
    assert {span.end_ns - span.start_ns for span in spans} == {40_000_000}


def test_other_params_travel_as_one_json_text() -> None:
    attributes = request_of(params(method="GET", invented=1, deep={"a": [1]})).attributes
    assert json.loads(str(attributes[names.REQUEST_PARAMS])) == {"invented": 1, "deep": {"a": [1]}}


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "GET", "url": "/x", "status": 200, "rid": "r1", "size": None},
        {"method": "GET", "url": "/x", "path": "/y"},
        {"url": "", "path": "/y", "duration": 3, "empty": [], "nothing": None},
    ],
)
def test_other_params_are_found_whichever_of_the_known_ones_are_there(fields: Event) -> None:
    assert names.REQUEST_PARAMS not in request_of(params(**fields)).attributes
    attributes = request_of(params(**fields, invented=1)).attributes
    assert attributes[names.REQUEST_PARAMS] == '{"invented":1}'


def test_the_own_fields_of_a_request_keep_their_names_and_what_has_none_stays_json() -> None:
    own = {"type": "api_access", "level": "INFO", "message": "done", "pageid": ""}
    said = request_of({**own, **params(method="GET")}).attributes
    assert [said[f"sunbird.log.{field}"] for field in ("type", "level", "message")] == ["api_access", "INFO", "done"]
    assert names.EDATA_OTHER not in said
    attributes = request_of({"type": "t", "level": "INFO", "message": "", "method": "GET"}, eid="ACCESS").attributes
    assert attributes["sunbird.access.type"] == "t"
    assert attributes[names.EDATA_OTHER] == '{"level":"INFO"}'


def test_an_url_that_is_called_again_says_the_same() -> None:
    for method in ("GET", "get", "POST", "MKCOL", "GET"):
        attributes = request_of(params(method=method, url="/x/1234?a=?b")).attributes
        assert attributes[names.HTTP_METHOD] == method.upper()
        assert (attributes[names.URL_PATH], attributes[names.URL_QUERY]) == ("/x/1234", "a=?b")


# --- Metrics ---------------------------------------------------------------------------------------------------------


def metrics_of(edata: Event) -> Run:
    return run([PLATFORM.event("METRICS", 3, edata)])


def points(done: Run) -> dict[object, float]:
    return {point.attributes[names.METRIC_NAME]: point.value for point in done.points}


def test_a_metrics_event_becomes_points_at_its_own_time() -> None:
    (point,) = run([PLATFORM.metrics(3, jobs=7)]).points
    assert (point.name, point.value, point.time_ns, point.unit) == (names.METRIC, 7, T0_NS + 3_000_000_000, "1")
    assert point.resource == Resource(PLATFORM.pdata, PLATFORM.ver)
    expected: Attributes = {
        names.METRIC_NAME: "jobs",
        names.METRIC_SYSTEM: "Java",
        names.METRIC_SUBSYSTEM: "API",
        names.CHANNEL: PLATFORM.channel,
    }
    assert expected.items() <= point.attributes.items()
    assert names.MID not in point.attributes


def test_both_forms_of_metrics_are_read() -> None:
    listed = [{"metric": "a", "value": 1}, {"metric": "b", "value": 0.5}]
    assert points(metrics_of({"system": "s", "metrics": listed})) == {"a": 1, "b": 0.5}
    assert points(metrics_of({"a": 1, "b": 0.5})) == {"a": 1, "b": 0.5}


def test_what_is_no_number_is_no_measurement() -> None:
    done = metrics_of({"a": 1, "b": "2", "c": True, "d": None, "metrics": [{"metric": "e", "value": "x"}, 7]})
    assert points(done) == {"a": 1}
    assert json.loads(str(done.points[0].attributes[names.EDATA_OTHER]))["b"] == "2"


@pytest.mark.parametrize("name", ["createdDate", "startTime", "timestamp", "last_updated_at", "createdOn", "x_ts"])
def test_a_moment_is_no_measurement(name: str) -> None:
    done = metrics_of({name: T0, "jobs": 3})
    assert points(done) == {"jobs": 3}
    assert json.loads(str(done.points[0].attributes[names.EDATA_OTHER])) == {name: T0}


@pytest.mark.parametrize(("name", "value"), [("uptime", 40), ("bytesTotal", T0), ("creationDate", 7)])
def test_a_small_time_and_a_large_number_are_measurements(name: str, value: int) -> None:
    assert points(metrics_of({name: value})) == {name: value}


@pytest.mark.parametrize("edata", [{}, {"system": "s", "metrics": []}, {"note": "x"}, {"createdDate": T0}])
def test_a_metrics_event_without_a_measurement_is_an_event(edata: Event) -> None:
    done = metrics_of(edata)
    assert (done.tally.metric_points, done.tally.spans, done.tally.translated) == (0, 1, 1)
