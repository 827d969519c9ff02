"""From the names of profiles and files to the rules in force."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from sunbird_otel._rules import Rules
from sunbird_otel._rules_file._check import check
from sunbird_otel._rules_file._draft import Draft
from sunbird_otel._rules_file._faults import Fault, report
from sunbird_otel._rules_file._source import RuleFile, parse, read_file
from sunbird_otel.errors import RuleError

_PROFILES: Final = ("standard", "field")
# In the order of the specification, which docs and tables keep.
_WORKFLOWS: Final = ("mobile_app", "portal", "editor", "backend_service", "analytics_job")


def load_rules(*sources: str | Path) -> Rules:
    """Return the rules of ``sources``: at most one of the profiles ``standard`` and ``field``, and files.

    The profile, ``standard`` when none is named, is the base, wherever it stands among the sources. The files are laid
    upon it in order: each adds workflows, replaces those of the same name, and adjusts or extends single flows. A file
    that is called like a profile is meant when it is given as ``./field`` or as a ``Path``.

    Raises:
        RuleError: Sources cannot be read or break the vocabulary; the text has a line ``FILE:LINE: what was found;
            what was expected; what to do`` for each fault there is.
    """
    profiles = list(dict.fromkeys(source for source in sources if source in _PROFILES))
    if len(profiles) > 1:
        raise RuleError('found both profiles, "standard" and "field"; expected at most one; name one of them')
    profile = str(profiles[0]) if profiles else "standard"
    files = [_shipped(name, order) for order, name in enumerate(_WORKFLOWS)]
    if profile == "field":
        files.append(_shipped("field", len(files)))
    paths = [Path(source) for source in sources if source not in _PROFILES]
    unreadable: list[str] = []
    for path in paths:
        try:
            files.append(read_file(path, len(files)))
        except RuleError as error:
            unreadable.append(str(error))
    if unreadable:
        # Without these files nothing can be said of the whole; what is wrong with the form of the others can.
        formal = report(fault for file in files for fault in file.faults)
        raise RuleError("\n".join([*unreadable, formal]).rstrip())
    return _combine(files, ", ".join([profile, *(path.name for path in paths)]))


def _combine(files: list[RuleFile], profile: str) -> Rules:
    draft = Draft()
    for file in files:
        draft.apply(file)
    faults: list[Fault] = [*draft.faults, *check(draft)]
    if faults:
        raise RuleError(report(faults))
    return Rules(tuple(draft.workflows.values()), tuple(draft.flows.values()), profile)


def _shipped(name: str, order: int) -> RuleFile:
    data = (resources.files("sunbird_otel") / "workflows" / f"{name}.toml").read_bytes()
    return parse(data, f"sunbird_otel/workflows/{name}.toml", order)
