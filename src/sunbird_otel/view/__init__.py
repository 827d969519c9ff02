"""The two pictures of ``sunbird-otel view``: a tree for the terminal, and one page with a waterfall for the browser."""

from sunbird_otel.view._page import render_html
from sunbird_otel.view._terminal import render_tree

__all__ = ["render_html", "render_tree"]
