"""The words of strangers, made fit to stand in our own sentences."""

from __future__ import annotations

_MAX_TEXT = 300


def one_line(text: str) -> str:
    """Return the text of a stranger as something that can stand in a sentence."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= _MAX_TEXT else clean[:_MAX_TEXT] + "..."
