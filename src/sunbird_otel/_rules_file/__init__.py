"""Reads and checks the files of flow rules; ``docs/rules.md`` explains their words.

From the text to the records: :mod:`_lines` finds lines, :mod:`_words` says what a file may contain, :mod:`_source`
reads one file by it, :mod:`_draft` lays the files on top of each other, :mod:`_check` looks at the whole.
"""

from sunbird_otel._rules_file._load import load_rules
from sunbird_otel._rules_file._words import duration_ns

__all__ = ["duration_ns", "load_rules"]
