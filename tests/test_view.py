"""The two pictures without a browser: trees, their text, and what the page is made of."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
import span_factory as factory
from rich.console import Console

from sunbird_otel import names
from sunbird_otel._findings import VIOLATIONS, Finding, Position
from sunbird_otel._signals import Link, Span
from sunbird_otel._tally import END_REASONS
from sunbird_otel.view import _format as form
from sunbird_otel.view import render_html, render_tree
from sunbird_otel.view._marks import MEANINGS, UNFINISHED, marks_of, meaning
from sunbird_otel.view._trees import PARENT_ABSENT, PARENT_RING, build_traces

REFUSED = [
    Finding(
        code="missing_field",
        path="$.mid",
        expected="a string",
        found="nothing",
        position=Position("a.jsonl", 3, 2),
        eid="LOG",
        refused=True,
    ),
    Finding(code="not_json", path="$", expected="JSON", found="'{'", position=Position("b.jsonl", 9), refused=True),
    Finding(code="missing_field", path="$.ets", expected="an integer", found="nothing", refused=True),
]


def told(spans: list[Span], *, width: int = 400, terminal: bool = False, **options: Any) -> str:
    console = Console(file=(out := io.StringIO()), width=width, force_terminal=terminal, color_system=None)
    console.print(render_tree(spans, **options), soft_wrap=True)
    return out.getvalue()


def chain(length: int, step: int = 1) -> list[Span]:
    """Return spans of which each holds the next."""
    story = factory.Story("chain", "mobile_app")
    for level in range(length):
        parent = story.spans[-1] if story.spans else None
        story.flow("collection", level * step, 10**12 - level * step, parent=parent)
    return story.spans


class Page(HTMLParser):
    """The elements of a page, as a browser's parser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.scripts[-1] += data
        if self.lasttag == "title":
            self.title += data

    @property
    def data(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.scripts[0])
        return loaded


# --- trees --------------------------------------------------------------------------------------------------------


def test_each_trace_is_a_tree_in_the_order_of_time() -> None:
    traces = build_traces(list(reversed(factory.five_workflows())))
    assert [trace.start_ns for trace in traces] == sorted(trace.start_ns for trace in traces)
    mobile = traces[0]
    assert [(node.span.name, node.depth) for node in mobile.nodes] == [
        ("app", 0),
        ("session", 1),
        ("player play", 2),
        ("TextBookUnit", 2),
        ("player play", 3),
        ("sunbird.audit", 2),
    ]
    for node in mobile.nodes[1:]:
        assert mobile.nodes[node.parent].span.span_id == node.span.parent_span_id
    assert mobile.events == 66


def test_a_span_whose_parent_is_absent_is_a_root_with_a_note() -> None:
    _, *orphans = factory.mobile_app()
    (trace,) = build_traces(orphans)
    assert (trace.nodes[0].span.name, trace.nodes[0].depth, trace.nodes[0].note) == ("session", 0, PARENT_ABSENT)
    assert f"({PARENT_ABSENT})" in told(orphans)


def test_spans_in_a_ring_are_all_shown() -> None:
    spans = factory.mobile_app()[:3]
    spans[0].parent_span_id = spans[2].span_id
    (trace,) = build_traces(spans)
    assert [(node.depth, node.note) for node in trace.nodes] == [(0, PARENT_RING), (1, ""), (2, "")]


def test_a_span_that_is_its_own_parent_is_shown_once() -> None:
    spans = chain(1)
    spans[0].parent_span_id = spans[0].span_id
    (trace,) = build_traces(spans)
    assert [(node.depth, node.note) for node in trace.nodes] == [(0, PARENT_RING)]


def test_two_spans_with_one_id_are_both_shown() -> None:
    spans = [*factory.analytics_job(), *factory.analytics_job()]
    (trace,) = build_traces(spans)
    assert len(trace.nodes) == 2


def test_depth_costs_no_stack() -> None:
    (trace,) = build_traces(chain(20_000))
    assert trace.nodes[-1].depth == 19_999


# --- marks --------------------------------------------------------------------------------------------------------


def test_every_mark_and_violation_has_a_meaning() -> None:
    for code in (*UNFINISHED, *VIOLATIONS, *MEANINGS):
        assert meaning(code).endswith(".")
    assert set(END_REASONS) - {"end"} == UNFINISHED
    assert meaning("a rule of somebody else") == ""


def test_marks_are_read_from_attributes_and_status() -> None:
    marks = marks_of(factory.mobile_app()[4])
    assert marks.unfinished == "parent_end"
    assert marks.violations == ("unclosed_child", "wrong_parent")
    assert marks.repairs == ("reparented",)
    assert marks.error
    assert not marks.synthetic
    assert not marks.instant


def test_a_synthetic_span_is_repaired_though_no_attribute_says_so() -> None:
    (span,) = chain(1)
    span.synthetic = True
    assert marks_of(span).repairs == ("synthetic",)


# --- the terminal -------------------------------------------------------------------------------------------------

MOBILE = """\
2026-03-02  session 032db61e..  device b1533655..  org.sunbird.learning.platform, prod.diksha.app, \
prod.diksha.app.contentplayer  6 spans, 66 events, 24 min 4 s  trace 09fffcef682744ea80382787733cf170
└── 2026-03-02 08:00:00.000  app  24 min 4 s  1 event
    ├── 08:00:00.800  session  22 min 59 s  14 events
    │   ├── 08:00:01.200  sunbird.impression, sunbird.interact x12
    │   ├── 08:01:00.000  player play  do_31307361357558579213961  7 min  11 events
    │   │   └── 08:01:00.300  in turns: sunbird.interact x5, sunbird.assess x5, sunbird.impression
    │   ├── 08:08:05.000  sunbird.impression
    │   ├── 08:09:00.000  TextBookUnit  do_2125010643527925761169  13 min  [repaired: synthetic]
    │   │   └── 08:09:00.000  player play  do_31250841732493312026783  13 min  40 events  [unfinished: parent_end]  \
[unclosed_child]  [wrong_parent]  [repaired: reparented]  [error]
    │   │       └── 08:09:00.000  in turns: sunbird.interact x26, sunbird.impression x14
    │   └── 08:12:00.000  sunbird.audit  [instant]
    └── 08:23:00.000  sunbird.interrupt

Marks
error           An ERROR event came inside it.
instant         One event without a flow that may hold it; the span marks its time.
parent_end      The flow around it ended first.
reparented      Moved by --policy repair under the parent that the rules ask for.
synthetic       Made by --policy repair: the rules ask for it, and no event opened it.
unclosed_child  Its parent ended first; have the client send END before it leaves.
wrong_parent    The flow began inside one that may not hold it; see 'sunbird-otel rules' for its parents.
"""


def test_a_mobile_session_reads_as_its_story() -> None:
    assert told(factory.mobile_app()) == MOBILE


def test_a_point_in_time_has_no_length_to_tell() -> None:
    (span,) = chain(1)
    span.end_ns = span.start_ns + 1
    assert " ns" not in told([span])


def test_a_pipe_keeps_a_line_a_flow_and_a_terminal_wraps() -> None:
    assert told(factory.mobile_app(), width=60) == MOBILE
    lines = told(factory.mobile_app(), width=60, terminal=True).splitlines()
    assert max(map(len, lines)) <= 60


def test_all_events_are_shown_when_asked_for() -> None:
    spans = factory.mobile_app()
    lines = [line for line in told(spans, show_events=True).splitlines() if "sunbird.interact " in line]
    assert len(lines) == 12 + 5 + 26
    assert str(spans[1].events[1].attributes[names.MID]) in told(spans, show_events=True)


def test_a_violation_of_an_event_is_marked_on_its_line() -> None:
    spans = factory.mobile_app()
    spans[0].events[0].attributes[names.FLOW_VIOLATIONS] = ["repeated_end"]
    assert "[repeated_end]" in told(spans, show_events=True)


def test_the_date_stands_where_it_changes() -> None:
    story = factory.Story("night", "mobile_app", factory.BASE_NS + 15 * factory.HOUR + 50 * factory.MINUTE)
    session = story.flow("session", 0, factory.HOUR)
    for minute in (1, 20):
        story.event(session, "LOG", minute * factory.MINUTE)
        story.flow("player", minute * factory.MINUTE, (minute + 1) * factory.MINUTE, parent=session)
    lines = told(story.spans).splitlines()
    assert lines[0].startswith("2026-03-02 to 2026-03-03  ")
    assert [line.count("2026-03-0") for line in lines[1:6]] == [1, 0, 0, 1, 0]


def test_the_limit_counts_lines_and_tells_what_is_left_out() -> None:
    spans = factory.many(500)
    text = told(spans, limit=10)
    assert len([line for line in text.splitlines() if "── " in line]) == 10
    shown = len(re.findall("── .*(?:player play|session)", text))
    assert f"{500 - shown} more spans not shown: raise --limit, or look at --html." in text
    assert "not shown" not in told(spans, limit=100_000)


def test_links_are_told_with_the_name_of_their_target() -> None:
    spans = factory.backend_service(requests=1)
    assert f"(linked to service in trace {spans[0].trace_id.hex()})" in told(spans)
    assert f"(linked to a span outside this input, trace {spans[0].trace_id.hex()})" in told(spans[1:])


def test_deep_nesting_stays_readable() -> None:
    lines = told(chain(60)).splitlines()
    assert "(at depth 59)" in lines[60]
    assert lines[60].index("collection") < 130


def test_foreign_text_cannot_command_the_terminal() -> None:
    (span,) = chain(1)
    span.name = "[bold]collection\x1b[2J\r\n\u202eevil"
    span.attributes[names.OBJECT_ID] = "do_" + "9" * 1000
    span.attributes[names.SESSION_ID] = "हिन्दी\x07"
    text = told([span])
    assert r"[bold]collection\x1b[2J\r\n\u202eevil" in text
    assert "session हिन्दी\\x07" in text
    assert "9" * 200 not in text


def test_what_was_refused_stands_at_the_end() -> None:
    text = told(factory.analytics_job(), refused=REFUSED)
    rows = [" ".join(line.split()) for line in text.split("Refused\n")[1].splitlines()]
    assert rows == [
        "code count first at first example",
        "missing_field 2 a.jsonl:3[2] LOG $.mid: expected a string, found nothing",
        "not_json 1 b.jsonl:9 $: expected JSON, found '{'",
    ]


def test_no_spans_are_said_to_be_none() -> None:
    assert told([]) == "No flows.\n"


@pytest.mark.parametrize(
    ("length_ns", "text"),
    [
        (1, "1 ns"),
        (999_999, "999,999 ns"),
        (350 * factory.MS, "350 ms"),
        (2_500 * factory.MS, "2.5 s"),
        (59_999 * factory.MS, "59.999 s"),
        (factory.MINUTE, "1 min"),
        (12 * factory.MINUTE + 4 * factory.SECOND, "12 min 4 s"),
        (2 * factory.HOUR + 15 * factory.MINUTE, "2 h 15 min"),
        (factory.DAY + 3 * factory.HOUR, "1 d 3 h"),
    ],
)
def test_lengths_are_told_in_their_two_largest_units(length_ns: int, text: str) -> None:
    assert form.duration(length_ns) == text


def test_times_are_cut_to_the_millisecond_never_rounded_up() -> None:
    assert form.clock(factory.BASE_NS + 1_999_999) == "08:00:00.001"
    assert form.clock(factory.BASE_NS - 1) == "07:59:59.999"


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = Page(render_html(factory.five_workflows(), title="t"))
    policies = [tag["content"] for _, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy"]
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; "
        r"img-src data:; base-uri 'none'; form-action 'none'",
        policies[0] or "",
    )
    addresses = [value for _, tag in page.tags for key, value in tag.items() if key in {"src", "href", "action"}]
    assert addresses == ["data:,"]


def test_hostile_text_leaves_the_elements_of_the_page_as_they_are() -> None:
    attack = "</script><script>alert(1)</script><!--<script>\u2028{{script}}&amp;\ud800"
    spans = factory.mobile_app()
    calm = Page(render_html(spans, title="calm"))
    spans[0].name = attack
    spans[0].attributes[attack] = [attack]
    spans[1].events[0].name = attack
    finding = Finding(code="not_json", path="$", expected="JSON", found=attack, refused=True)
    text = render_html(spans, title=attack, refused=[finding])
    text.encode("utf-8")
    page = Page(text)
    assert [name for name, _ in page.tags] == [name for name, _ in calm.tags]
    assert page.title.strip() == attack.replace("\ud800", "?")
    assert page.data["traces"][0][1][0][2] == page.data["texts"].index(attack)
    assert page.data["refused"][0][3].endswith(attack)


def test_values_survive_the_way_into_the_page() -> None:
    (span,) = chain(1)
    span.attributes = {"a": 1, "b": 1.0, "c": True, "d": 2**53, "e": [2**63 - 1, 1], "f": ["1"], "g": [1], "h": []}
    span.attributes["i"] = "हिन्दी"
    data = Page(render_html([span], title="t")).data
    pairs = {data["texts"][key]: value for key, value in (data["pairs"][n] for n in data["traces"][0][1][0][7])}
    assert pairs == {
        "a": 1,
        "b": 1.0,
        "c": True,
        "d": "9007199254740992",
        "e": ["9223372036854775807", 1],
        "f": ["1"],
        "g": [1],
        "h": [],
        "i": "हिन्दी",
    }
    assert [type(pairs[key]) for key in "abc"] == [int, float, bool]


def test_times_are_exact_to_the_nanosecond_near_their_base() -> None:
    story = factory.Story("t", "portal", factory.BASE_NS + 123_456)
    story.flow("session", 0, 1)
    story.flow("session", 30 * factory.DAY + 1_000_000, 31 * factory.DAY)
    data = Page(render_html(story.spans, title="t")).data
    assert data["base"] * factory.MS == factory.BASE_NS
    assert [(row[4], row[5]) for row in data["traces"][0][1]] == [
        (0.123456, 1e-06),
        (30 * 86_400_000 + 1.123456, 86_399_999),
    ]


def test_links_and_notes_are_in_the_page() -> None:
    (span,) = chain(1)
    span.parent_span_id = b"\1" * 8
    span.links.append(Link(b"\2" * 16, b"\3" * 8, {names.LINK_TYPE: "service_run"}))
    row = Page(render_html([span], title="t")).data["traces"][0][1][0]
    assert row[9][0][:2] == ["02" * 16, "03" * 8]
    assert row[10] == PARENT_ABSENT


def test_ten_thousand_spans_make_a_page_of_reasonable_size() -> None:
    assert len(render_html(factory.many(10_000), title="t")) < 10_000_000


def test_a_page_without_spans_is_a_page() -> None:
    assert Page(render_html([], title="t")).data["traces"] == []


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_apart(scheme: int) -> None:
    """Text has the contrast that WCAG 2 asks for at level AA; a bar is never the only bearer of what it says."""
    style = resources.files("sunbird_otel.view").joinpath("page", "style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours: dict[str, str] = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", blocks[scheme]))
    for back in ("back", "raised", "hover"):
        for text in ("text", "muted", "accent", "violation", "unfinished", "repaired", "error"):
            assert contrast(colours[text], colours[back]) >= 4.5, (text, back)
    for hue in range(10):
        assert contrast(colours[f"s{hue}"], colours["back"]) >= 2.7, hue
