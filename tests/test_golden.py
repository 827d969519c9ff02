"""Every rule and every trap as a folder under ``golden/``: a small input, what must come of it, and all that came.

``case.toml`` says why the case is there, with which options it runs, and what must be true; it is written by hand and
never by a program. The other files are the whole output, recorded: ``make golden`` writes them anew, and the difference
is for a person to read. A wrong recording cannot pass, since the facts are asserted of it as well.

Facts under ``[expect]``:

* ``tree``: the spans, in the notation of :mod:`span_tree`; violations and events are compared where it names some;
* ``received``, ``translated``, ``duplicate``, ``rejected``, ``late``, ``traces``, ``links``, and the spans that repair
  made, ``synthetic``: numbers;
* ``closed``, ``ends``, ``violations``, ``rejected_by_reason``, and the codes that are no violations, ``findings``:
  tables of numbers without the zeros; ``points``: the values of METRICS by name;
* ``same_as``: another case with the same output.

What is left out of ``duplicate``, ``rejected``, ``late``, ``synthetic`` and ``violations`` must be zero. Each
``[[expect.span]]`` names one span (``which``: its kind, with a number from 1 where there are several) and what is true
of it; ``mentions`` are texts that must stand somewhere in it.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bridge_run import RECORDED, Output, check_balance, run
from span_tree import Node, select, tree

from sunbird_otel import names
from sunbird_otel._findings import VIOLATIONS

FOLDER = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.toml"))
ABSENT_IS_ZERO = ("duplicate", "rejected", "late", "synthetic")
KIND_SERVER = 2
STATUS_ERROR = 2


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, update_golden: bool, tmp_path: Path) -> None:
    case = _case(name)
    output = _run(name, case, tmp_path / name)
    check_balance(output)
    check_facts(case["expect"], output)
    for expected in case["expect"].get("span", []):
        check_span(expected, output.spans)
    if other := case["expect"].get("same_as"):
        same = _run(other, _case(other), tmp_path / other)
        assert output.files["traces.jsonl"] == same.files["traces.jsonl"]
    folder = FOLDER / name
    if update_golden:
        for file in RECORDED:
            (folder / file).unlink(missing_ok=True)
        for file, content in output.files.items():
            (folder / file).write_bytes(content)
    recorded = {file: (folder / file).read_text("utf-8") for file in RECORDED if (folder / file).exists()}
    found = {file: content.decode() for file, content in output.files.items()}
    assert recorded == found, "not what was recorded; if it is right, write the files anew with `make golden`"


def test_every_violation_is_tried_with_every_policy() -> None:
    tried = {
        (case["options"].get("policy", "annotate"), code)
        for case in map(_case, CASES)
        for code in case["expect"].get("violations", {})
    }
    assert {(policy, code) for policy in ("annotate", "repair", "reject") for code in VIOLATIONS} <= tried


def check_facts(expected: dict[str, Any], output: Output) -> None:
    """Assert the facts of ``[expect]``."""
    report = output.report
    codes = Counter(finding.code for finding in output.findings if finding.code not in VIOLATIONS)
    found: dict[str, Any] = {
        **{key: report["events"][key] for key in ("received", "translated", "duplicate", "rejected", "late")},
        "rejected_by_reason": report["events"]["rejected_by_reason"],
        "closed": report["flows"]["closed"],
        "ends": report["ends"],
        "violations": report["violations"],
        "synthetic": report["signals"]["synthetic_spans"],
        "traces": len({node.span["traceId"] for node in output.spans}),
        "links": sum(len(node.span.get("links", [])) for node in output.spans),
        "findings": codes,
        "points": dict(output.points),
        "tree": tree(output.spans, like=expected.get("tree", "")),
    }
    for table in ("rejected_by_reason", "closed", "ends", "violations"):
        found[table] = {key: number for key, number in found[table].items() if number}
    wanted: dict[str, Any] = {"violations": {}, **dict.fromkeys(ABSENT_IS_ZERO, 0), **expected}
    wanted = {key: value for key, value in wanted.items() if key not in {"span", "same_as"}}
    assert wanted == {key: found[key] for key in wanted}


def check_span(expected: dict[str, Any], spans: list[Node]) -> None:
    """Assert what ``[[expect.span]]`` says of one span; times are in ns, ``seconds`` is its duration."""
    node = select(spans, expected["which"])
    links = {(link["traceId"], link["spanId"]) for link in node.span.get("links", [])}
    attributes: dict[str, Any] = expected.get("attributes", {})
    event_attributes: list[dict[str, Any]] = expected.get("event_attributes", [])
    linked = [select(spans, which).span for which in expected.get("links", [])]
    found: dict[str, Any] = {
        "which": expected["which"],
        "name": node.span["name"],
        "service": node.service,
        "workflow": node.attributes.get(names.WORKFLOW),
        "reason": node.attributes.get(names.FLOW_END_REASON),
        "start_ns": node.start_ns,
        "end_ns": node.end_ns,
        "event_ns": [time_ns for _, time_ns, _ in node.events],
        "seconds": (node.end_ns - node.start_ns) / 10**9,
        "server": node.span["kind"] == KIND_SERVER,
        "error": node.span.get("status", {}).get("code") == STATUS_ERROR,
        "links": [
            which
            for which, span in zip(expected.get("links", []), linked, strict=True)
            if (span["traceId"], span["spanId"]) in links
        ],
        "mentions": [text for text in expected.get("mentions", []) if text in json.dumps(node.span)],
        "attributes": {key: node.attributes.get(key) for key in attributes},
        "event_attributes": [
            {key: event.get(key) for key in wanted}
            for wanted, (_, _, event) in zip(event_attributes, node.events, strict=bool(event_attributes))
        ],
    }
    assert expected == {key: found[key] for key in expected}


def _case(name: str) -> dict[str, Any]:
    case = tomllib.loads((FOLDER / name / "case.toml").read_text("utf-8"))
    return {"options": {}, "input": "input.jsonl", **case}


def _run(name: str, case: dict[str, Any], scratch: Path) -> Output:
    scratch.mkdir()
    return run(FOLDER / name / case["input"], case["options"], scratch)
