"""Strings that are no valid Unicode: JSON can spell a lone surrogate, OTLP cannot carry one."""

from __future__ import annotations


def utf8(text: str) -> bytes:
    """Return ``text`` in UTF-8, with U+FFFD in the place of every lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Through UTF-16, so that two surrogates that make a pair become the character that they stand for.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
