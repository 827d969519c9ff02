"""The page in a real browser: what it shows, what it does, and what it must never do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import span_factory as factory
from playwright.sync_api import Browser, ConsoleMessage, Error, Request, expect, sync_playwright
from view_tab import FLAGS, ROW, View

from sunbird_otel import names
from sunbird_otel._findings import Finding
from sunbird_otel.view import render_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sunbird_otel._signals import Span

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., View]]:
    """Open a page from a file; at the end, no page may have complained or asked for anything but itself."""
    views: list[View] = []

    def opened(spans: Sequence[Span], refused: Sequence[Finding] = (), scheme: str = "light") -> View:
        path = tmp_path / f"page {len(views)}.html"
        path.write_text(render_html(spans, title="telemetry.jsonl", refused=refused), encoding="utf-8")
        dark = scheme == "dark"
        context = browser.new_context(
            viewport={"width": 1200, "height": 800}, color_scheme="dark" if dark else "light", bypass_csp=False
        )
        view = View(context.new_page())
        views.append(view)

        def on_console(message: ConsoleMessage) -> None:
            view.complaints.append(message.text)

        def on_error(error: Error) -> None:
            view.complaints.append(str(error))

        def on_request(request: Request) -> None:
            view.requests.append(request.url)

        view.tab.on("console", on_console)
        view.tab.on("pageerror", on_error)
        view.tab.on("request", on_request)
        view.tab.goto(path.as_uri())
        view.settle()
        return view

    yield opened
    for view in views:
        assert view.complaints == []
        assert [url for url in view.requests if not url.startswith("data:")] == [view.tab.url]
        view.tab.context.close()


def test_a_mobile_session_is_shown_as_its_tree(show: Callable[..., View]) -> None:
    view = show(factory.mobile_app())
    assert view.rows[1:] == ["app", "session", "player play", "TextBookUnit", "player play", "sunbird.audit"]
    assert view.text("#summary") == "6 spans, 66 events, 1 trace"
    levels = view.tab.locator(".row").evaluate_all("rows => rows.map((row) => row.ariaLevel)")
    assert levels == ["1", "2", "3", "4", "4", "5", "4"]


def test_ten_thousand_spans_are_drawn_by_the_screenful(show: Callable[..., View]) -> None:
    view = show(factory.many(10_000))
    assert view.text("#summary").startswith("10,000 spans, ")
    assert 20 < len(view.rows) < 40
    before = view.picture()
    view.tab.locator("#scroller").evaluate("box => box.scrollTop = box.scrollHeight")
    assert view.picture() != before
    assert 20 < len(view.rows) < 40
    last = view.tab.locator(".row").last.bounding_box()
    assert last
    assert last["y"] + last["height"] == pytest.approx(800, abs=1)


def test_colours_follow_the_scheme_of_the_reader(show: Callable[..., View]) -> None:
    pictures = {show(factory.mobile_app(), scheme=scheme).picture() for scheme in ("light", "dark")}
    assert len(pictures) == 2


@pytest.mark.parametrize("way", ["wheel", "axis wheel", "drag", "keys", "buttons", "row"])
def test_zoom_shows_a_shorter_time_and_reset_the_whole(show: Callable[..., View], way: str) -> None:
    view = show(factory.mobile_app())
    before, picture = view.shown_time, view.picture()
    assert before == "24 min 47 s"
    mouse, keyboard = view.tab.mouse, view.tab.keyboard
    if way == "wheel":
        view.hover(0.3, 3)
        keyboard.down("Control")
        mouse.wheel(0, -300)
        keyboard.up("Control")
    elif way == "axis wheel":
        view.hover(0.3, -1)
        mouse.wheel(0, -300)
    elif way == "drag":
        mouse.move(*view.at(0.2, -1))
        mouse.down()
        mouse.move(*view.at(0.6, -1), steps=4)
        mouse.up()
    elif way == "keys":
        keyboard.press("+")
    elif way == "buttons":
        view.tab.locator("#zoom-in").click()
    else:
        for _ in range(5):
            # On a busy machine a frame between press and release can redraw the row, and the click with it is lost.
            view.row("do_31307").dblclick()
            if view.shown_time != before:
                break
        keyboard.press("Escape")
    view.settle()
    expected = {
        "wheel": "14 min 37 s",
        "axis wheel": "14 min 37 s",
        "drag": "9 min 54 s",
        "keys": "14 min 52 s",
        "buttons": "14 min 52 s",
        "row": "7 min 12 s",
    }
    assert view.shown_time == expected[way]
    assert view.picture() != picture
    view.tab.locator("#reset").click()
    view.settle()
    assert view.shown_time == before


def test_drag_and_keys_move_in_time_and_a_plain_wheel_scrolls(show: Callable[..., View]) -> None:
    view = show(factory.many(2_000))
    view.tab.keyboard.press("+")
    length, axis = view.shown_time, view.picture("#axis")
    view.tab.mouse.move(*view.at(0.6, 5))
    view.tab.mouse.down()
    view.tab.mouse.move(*view.at(0.5, 5), steps=4)
    view.tab.mouse.up()
    moved = view.picture("#axis")
    assert moved != axis
    view.tab.keyboard.press("d")
    assert view.picture("#axis") != moved
    view.tab.mouse.wheel(0, 400)
    expect(view.tab.locator("#scroller")).to_have_js_property("scrollTop", 400)
    assert view.shown_time == length


def test_time_can_be_looked_at_by_the_millisecond(show: Callable[..., View]) -> None:
    view = show(factory.mobile_app())
    for _ in range(40):
        view.tab.keyboard.press("+")
    view.settle()
    assert view.shown_time == "4 ms"


def test_hovering_tells_the_details_of_span_event_and_trace(show: Callable[..., View]) -> None:
    spans = factory.mobile_app()
    view = show(spans)
    view.hover(0.28, 3)
    tip = view.text("#tip")
    assert tip.startswith("player play\n2026-03-02 08:01:00.000 \u2013 08:08:00.000 UTC, 7 min\n")
    for text in ("prod.diksha.app.contentplayer 7.2", "11 events", names.FLOW_TYPE, "player"):
        assert text in tip
    # 12 minutes into 24:04, with the margin of 1.5 % at both sides.
    view.hover((12 / (24 + 4 / 60) + 0.015) / 1.03, 6)
    assert view.text("#tip").startswith("sunbird.audit\n2026-03-02 08:12:00.000 UTC\n")
    view.hover((23 / (24 + 4 / 60) + 0.015) / 1.03, 1)
    assert view.text("#tip").startswith("sunbird.interrupt in app\n2026-03-02 08:23:00.000 UTC\n")
    assert str(spans[0].events[0].attributes[names.MID]) in view.text("#tip").replace("\n", "")
    view.hover(0.5, 0)
    assert view.text("#tip").startswith(f"Trace {spans[0].trace_id.hex()}\n")
    view.tab.mouse.move(5, 5)
    assert view.tab.locator("#tip").is_hidden()


def test_a_click_pins_all_attributes_events_and_the_reasons(show: Callable[..., View]) -> None:
    spans = factory.mobile_app()
    view = show(spans)
    view.tab.mouse.click(*view.at(0.7, 5))
    panel = view.text("#panel")
    for key, value in spans[4].attributes.items():
        assert key in panel
        assert (", ".join(map(str, value)) if isinstance(value, list) else str(value)) in panel
    assert "unclosed_child Its parent ended first" in panel
    assert "CONTENT_LOAD_FAILED" in panel
    assert "Events (40)" in panel
    first = view.tab.locator("#panel details").first
    first.locator("summary").click()
    expect(first).to_contain_text(str(spans[4].events[0].attributes[names.MID]))
    view.tab.locator("#panel button", has_text="Up to TextBookUnit").click()
    assert view.text("#panel h2") == "TextBookUnit"
    view.tab.keyboard.press("Escape")
    assert view.tab.locator("#panel").is_hidden()


def test_a_link_leads_to_its_span(show: Callable[..., View]) -> None:
    view = show(factory.backend_service())
    view.row("POST /v1/search").click()
    view.tab.locator("#panel button", has_text="Go to service").click()
    assert view.text("#panel h2") == "service"
    view.settle()
    assert view.text(".row.active .name") == "service"


def test_a_long_list_of_events_grows_when_asked(show: Callable[..., View]) -> None:
    story = factory.Story("long", "portal")
    session = story.flow("session", 0, factory.HOUR)
    for at in range(450):
        story.event(session, "INTERACT", at * factory.SECOND)
    view = show(story.spans)
    view.row("session").click()
    more = view.tab.locator("#panel button", has_text="Show more (250 left)")
    more.click()
    assert view.tab.locator("#panel details").count() == 400
    view.tab.locator("#panel button", has_text="Show more (50 left)").click()
    assert view.tab.locator("#panel details").count() == 450
    assert view.tab.locator("#panel button", has_text="Show more").is_hidden()


def test_a_session_is_shown_alone_with_its_own_time(show: Callable[..., View]) -> None:
    spans = factory.many(2_000)
    chosen = str(spans[0].attributes[names.SESSION_ID])
    own = [span for span in spans if span.attributes.get(names.SESSION_ID) == chosen]
    view = show(spans)
    view.tab.locator("#session").select_option(chosen)
    assert view.text("#summary").startswith(f"{len(own)} of 2,000 spans, ")
    view.settle()
    assert len(view.rows) == len(own) + 1
    assert view.shown_time.endswith(("min", "s"))
    view.tab.locator("#clear").click()
    assert view.text("#summary").startswith("2,000 spans, ")
    assert view.tab.locator("#session").input_value() == ""


def test_filters_keep_what_stands_above(show: Callable[..., View]) -> None:
    view = show(factory.five_workflows())
    view.tab.locator("#type").select_option("player")
    view.settle()
    assert view.rows[1:] == ["app", "session", "player play", "TextBookUnit", "player play"]
    contexts = view.tab.locator(".row.context .name").all_inner_texts()
    assert contexts == ["app", "session", "TextBookUnit"]
    view.tab.locator("#only button", has_text="Violations").click()
    view.settle()
    assert view.rows[1:] == ["app", "session", "TextBookUnit", "player play"]
    view.tab.locator("#clear").click()
    view.tab.locator("#workflow").select_option("analytics_job")
    view.settle()
    assert view.rows == ["job"]
    view.tab.locator("#clear").click()
    view.tab.locator("#services button", has_text="prod.diksha.editor").click()
    view.settle()
    assert view.rows[1:] == ["session", "editor content"]


def test_the_search_finds_ids_of_spans_and_events(show: Callable[..., View]) -> None:
    spans = factory.five_workflows()
    view = show(spans)
    mid = str(spans[2].events[3].attributes[names.MID])
    for needle in (mid.upper(), spans[2].span_id.hex(), "do_313073613575"):
        view.tab.keyboard.press("/")
        view.tab.locator("#search").fill(needle)
        expect(view.tab.locator("#summary")).to_contain_text("1 of 18 spans")
        view.settle()
        assert view.rows[1:] == ["app", "session", "player play"]
        view.tab.locator("#clear").click()
    view.tab.locator("#search").fill("nobody has this")
    view.tab.locator("#empty").wait_for()
    assert view.text("#empty") == "No span passes the filters."


def test_flows_fold_by_click_and_all_at_once(show: Callable[..., View]) -> None:
    view = show(factory.five_workflows())
    view.row("app").locator(".turn").click()
    view.settle()
    assert view.rows[1] == "app"
    assert view.rows[2] != "session"
    assert "+5" in view.row("app").inner_text()
    view.tab.locator("#fold").click()
    view.settle()
    assert len(view.rows) == 9
    view.tab.locator("#unfold").click()
    view.settle()
    assert view.rows[1:3] == ["app", "session"]
    assert view.tab.locator("#spacer").evaluate("box => box.clientHeight") == (3 + 18) * ROW


def test_the_tree_obeys_the_keyboard(show: Callable[..., View]) -> None:
    view = show(factory.mobile_app())
    keyboard = view.tab.keyboard
    view.tab.locator("#rows").focus()

    def active() -> str:
        view.settle()
        assert view.tab.locator("#rows").get_attribute("aria-activedescendant") == view.tab.locator(
            ".row[aria-selected=true]"
        ).get_attribute("id")
        return view.text(".row.active .name")

    assert active().startswith("2026-03-02")
    keyboard.press("ArrowDown")
    assert active() == "app"
    keyboard.press("ArrowLeft")
    view.settle()
    assert view.tab.locator(".row.active").get_attribute("aria-expanded") == "false"
    assert len(view.rows) == 2
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    assert active() == "session"
    keyboard.press("End")
    assert active() == "sunbird.audit"
    keyboard.press("ArrowLeft")
    assert active() == "session"
    keyboard.press("Enter")
    assert view.text("#panel h2") == "session"
    keyboard.press("Escape")
    keyboard.press("f")
    view.settle()
    assert view.shown_time == "23 min 40 s"
    keyboard.press("?")
    assert "Ctrl wheel" in view.text("#legend")


def test_hostile_text_is_text(show: Callable[..., View]) -> None:
    attack = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'><!--<script>\u2028{{data}}"
    spans = factory.mobile_app()
    for span in spans:
        span.name = attack
        span.attributes |= {names.OBJECT_ID: attack, names.SESSION_ID: attack, names.WORKFLOW: attack, attack: attack}
        span.status_message = attack
        for event in span.events:
            event.name = attack
            event.attributes[attack] = attack
    finding = Finding(code="not_json", path="$", expected="JSON", found=attack, refused=True)
    view = show(spans, refused=[finding])
    view.tab.locator("#refused summary").click()
    assert attack in view.text("#refused td:nth-child(4)")
    assert view.tab.locator("#session option").nth(1).text_content() == "2026-03-02 08:00  </script\u2026  (6)"
    view.tab.locator("#session").select_option(attack)
    view.hover(0.28, 3)
    assert attack in view.text("#tip h2")
    view.tab.mouse.click(*view.at(0.28, 3))
    view.tab.locator("#panel details summary").first.click()
    assert attack in view.text("#panel h2")
    assert view.tab.evaluate("window.pwned") is None
    assert view.tab.locator("img").count() == 0


def test_the_policy_of_the_page_stops_what_is_not_its_own(show: Callable[..., View]) -> None:
    view = show(factory.mobile_app())
    stopped = view.tab.evaluate(
        """async () => {
            const stopped = [];
            document.addEventListener("securitypolicyviolation", (event) => stopped.push(event.effectiveDirective));
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(image);
            const script = document.createElement("script");
            script.textContent = "window.pwned = 1";
            document.body.append(script);
            const handler = document.createElement("div");
            handler.setAttribute("onclick", "window.pwned = 1");
            handler.click();
            await fetch("http://127.0.0.1:9/").catch(() => null);
            for (let wait = 0; wait < 100 && stopped.length < 4; wait++) await new Promise((go) => setTimeout(go, 50));
            return [stopped.sort(), window.pwned ?? null];
        }"""
    )
    assert stopped == [["connect-src", "img-src", "script-src-attr", "script-src-elem"], None]
    # The browser told of each; that is what was asked for here.
    view.complaints.clear()
    del view.requests[1:]


def test_what_was_refused_can_be_opened(show: Callable[..., View]) -> None:
    findings = [Finding(code="missing_field", path="$.mid", expected="a string", found="nothing", refused=True)] * 3
    view = show(factory.mobile_app(), refused=findings)
    summary = view.tab.locator("#refused summary")
    assert summary.inner_text() == "Refused: 3 (missing_field 3)"
    summary.click()
    assert "$.mid: expected a string, found nothing" in view.text("#refused table")


def test_a_page_without_spans_says_so(show: Callable[..., View]) -> None:
    view = show([])
    assert view.text("#empty") == "No flows."
    assert view.text("#summary") == "0 spans, 0 events, 0 traces"
