"""Our verdict on an event and the verdict of the pipeline's own JSON schemas are the same, fault for fault.

Those schemas are no part of the project: they stand in a folder ``schemas`` beside the recorded telemetry that
SUNBIRD_OTEL_CORPUS names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from events import Event
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from referencing.jsonschema import DRAFT4, EMPTY_REGISTRY
from schema_events import FULL, full, paths, value_at, with_value, without

from sunbird_otel import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import JsonValue
    from schema_events import Steps

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    -2,
    1.5,
    10**30,
    "",
    "x",
    "3.1",
    "LOG",
    "\ud800",
    [],
    ["x"],
    [1],
    [{}],
    [None],
    {},
    {"id": "x"},
)
"""What may stand where something else should."""

KEYS = ("x", "id", "type", "ver", "duration", "summary", "parent", "metric", "rollup", "uid", "pass_", "édata")
"""Fields that may be added; the schema knows some of them in some places."""

Oracle: TypeAlias = Callable[[Event], set[str]]


@pytest.fixture(scope="session")
def oracle(corpus: Path) -> Oracle:
    """Return a function from an event to the paths at which the pipeline's own schemas refuse it."""
    files = {path.stem: json.loads(path.read_text("utf-8")) for path in (corpus / "schemas").glob("*.json")}
    if not files:
        pytest.skip(f"needs the JSON schemas of Sunbird's pipeline in {corpus / 'schemas'}")
    resources: list[tuple[str, Any]] = [
        (f"resource:/schemas/telemetry/3.0/{name}.json", DRAFT4.create_resource(content))
        for name, content in files.items()
    ]
    registry = EMPTY_REGISTRY.with_resources(resources)
    validators = {name: Draft4Validator(content, registry=registry) for name, content in files.items()}

    def judge(event: Event) -> set[str]:
        eid = event.get("eid")
        # The pipeline looks for a schema file with the eid's name in lower case, without an eid for the envelope's.
        # An empty eid has no file either; we still tell what the envelope's schema says of it.
        name = eid.lower() if isinstance(eid, str) and eid else "envelope"
        if name not in validators:
            return {"no schema"}
        errors = validators[name].iter_errors(event)  # pyright: ignore[reportUnknownMemberType]
        return {path for error in errors for path in places(error)}

    return judge


def places(error: Any) -> Iterator[str]:
    """Yield the paths that an error of jsonschema speaks of; ours name the field that is missing or unknown."""
    steps = list(error.absolute_path)
    if error.validator == "required":
        missing = error.message.removesuffix(" is a required property").strip("'")
        yield spell([*steps, missing])
    elif error.validator == "additionalProperties":
        for name in error.instance.keys() - error.schema["properties"].keys():
            yield spell([*steps, name])
    else:
        yield spell(steps)


def spell(steps: list[str | int]) -> str:
    """Return a JSON path; our own spelling is tested elsewhere, here keys are taken as they come."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def ours(event: Event) -> set[str]:
    """Return the paths at which we refuse an event, spelled as the oracle's."""
    refusals = schema.validate(event)
    if len(refusals) == 1 and refusals[0].expected.startswith("an eid that has a schema"):
        return {"no schema"}
    return {re.sub(r'\["([^"]*)"\]', r".\1", refusal.path) for refusal in refusals}


def mutations(event: Event, at: Steps) -> Iterator[Event]:
    """Yield the event with every single change at one path."""
    yield without(event, at)
    for value in VALUES:
        yield with_value(event, at, value)
    place: JsonValue = value_at(event, at)
    if isinstance(place, dict):
        for key in KEYS:
            for value in ("x", 1, None):
                yield with_value(event, (*at, key), value)
    if isinstance(place, list):
        for value in VALUES:
            yield with_value(event, at, [*place, value])


def test_recorded_events_get_the_verdict_of_the_pipeline(corpus: Path, oracle: Oracle) -> None:
    known = {
        "raw-events.jsonl": (39, 174),
        "ingest-batches.jsonl": (4, 294),
        "mobile-textbook.jsonl": (148, 148),
        "mobile-session.jsonl": (78, 78),
    }
    counted: dict[str, tuple[int, int]] = {}
    for path in sorted(corpus.glob("*.jsonl")):
        refused = total = 0
        for line in path.read_text("utf-8").splitlines():
            document = json.loads(line)
            for event in document.get("events", [document]):
                assert oracle(event) == ours(event)
                total += 1
                refused += bool(schema.validate(event))
        counted[path.name] = (refused, total)
    assert counted == counted | {name: counts for name, counts in known.items() if name in counted}


@pytest.mark.parametrize("eid", FULL)
def test_every_single_change_of_edata_gets_the_verdict_of_the_pipeline(eid: str, oracle: Oracle) -> None:
    event = full(eid)
    assert not oracle(event)
    for at in [("edata",), *paths(event["edata"], ("edata",))]:
        for changed in mutations(event, at):
            assert oracle(changed) == ours(changed)


def test_every_single_change_of_the_envelope_gets_the_verdict_of_the_pipeline(oracle: Oracle) -> None:
    event = full("EXDATA")
    for at in paths(event):
        if at[0] != "edata":
            for changed in mutations(event, at):
                assert oracle(changed) == ours(changed)


@given(data=st.data())
@pytest.mark.parametrize("eid", FULL)
def test_many_changes_at_once_get_the_verdict_of_the_pipeline(eid: str, data: st.DataObject, oracle: Oracle) -> None:
    event = full(eid)
    for _ in range(data.draw(st.integers(2, 5))):
        at = data.draw(st.sampled_from(list(paths(event))))
        event = data.draw(st.sampled_from(list(mutations(event, at))))
        if not event:
            break
    assert oracle(event) == ours(event)
