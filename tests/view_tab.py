"""A tab of a real browser with the page of ``sunbird-otel view --html`` in it, for the tests of that page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page as Tab

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""How the browser is started: as root in a container, and without a word to its maker."""
ROW = 26
"""The height of a row in pixels."""


@dataclass
class View:
    """One page in a tab, with all that it complained about or asked for."""

    tab: Tab
    complaints: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    @property
    def rows(self) -> list[str]:
        """Return the names on the screen, from the top."""
        texts: list[str] = self.tab.evaluate(
            "[...document.querySelectorAll('.row')].map((row) => row.querySelector('.name').textContent)"
        )
        return texts

    @property
    def shown_time(self) -> str:
        self.settle()
        return (self.text("#axis-label")).removeprefix("Flows; ").removesuffix(" shown, UTC")

    def text(self, selector: str) -> str:
        return self.tab.locator(selector).inner_text()

    def row(self, text: str) -> Locator:
        return self.tab.locator(".row", has_text=text).first

    def picture(self, canvas: str = "#bars") -> str:
        """Return what a canvas shows, after the next frame."""
        self.settle()
        shown: str = self.tab.evaluate(f"document.querySelector('{canvas}').toDataURL()")
        return shown

    def settle(self) -> None:
        self.tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def at(self, part: float, row: int) -> tuple[float, float]:
        """Return the point at ``part`` of the chart's width on the ``row``-th row of the screen."""
        box = self.tab.locator("#bars").bounding_box()
        assert box
        return box["x"] + part * box["width"], box["y"] + row * ROW + ROW / 2

    def hover(self, part: float, row: int) -> None:
        self.tab.mouse.move(*self.at(part, row))
        self.settle()
