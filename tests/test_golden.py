"""Every rule and every trap as a folder under ``golden/``: a small input, what must come of it, and all that came.

``case.toml`` says why the case is there, with which options it runs, and what must be true; it is written by hand and
never by a program. The other files are the whole output, recorded: ``make golden`` writes them anew, and the difference
is for a person to read. A wrong recording cannot pass, since the facts are asserted of it as well.

Facts under ``[expect]``:

* ``tree``: the spans, in the notation of :mod:`span_tree`; violations and events are compared where it names some;
* ``received``, ``translated``, ``duplicate``, ``rejected``, ``late``, ``synthetic`` (spans that repair made), ``traces``,
  ``links``: numbers;
* ``closed``, ``ends``, ``violations``, ``rejected_by_reason``, ``findings`` (codes that are no violation, and how many):
  tables of numbers without the zeros; ``points``: METRICS by name;
* ``same_as``: another case with the same output.

What is left out of ``duplicate``, ``rejected``, ``late``, ``synthetic`` and ``violations`` must be zero. ``[[expect.span]]``
names one span (``which``: its kind, with a number from 1 where there are several) and what is true of it.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from span_tree import Node, nodes, plain, select, tree

from sunbird_otel import Bridge, Rules, __version__, names
from sunbird_otel._findings import VIOLATIONS, Finding
from sunbird_otel._limits import Limits
from sunbird_otel._rules_file import duration_ns
from sunbird_otel._signals import MetricPoint, Signal, Span
from sunbird_otel.sinks import DeadLetters
from sunbird_otel.sinks.otlp.json import JsonEncoder
from sunbird_otel.sources.files import Document, read

FOLDER = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.toml"))
RECORDED = ("traces.jsonl", "metrics.jsonl", "report.json", "dead-letter.jsonl", "findings.json")
ABSENT_IS_ZERO = {"duplicate", "rejected", "late", "synthetic"}
KIND_SERVER = 2
STATUS_ERROR = 2


@dataclass(frozen=True, slots=True)
class Output:
    """What came of one input: the files that are recorded, by name, and what the facts are checked on."""

    files: dict[str, bytes]
    report: dict[str, Any]
    findings: list[Finding]
    spans: list[Node]
    points: list[tuple[str, float]]


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, update_golden: bool, tmp_path: Path) -> None:
    case = _case(name)
    output = _translate(name, case, tmp_path)
    check_balance(output)
    check_facts(case["expect"], output)
    for expected in case["expect"].get("span", []):
        check_span(expected, output.spans)
    if other := case["expect"].get("same_as"):
        assert output.files["traces.jsonl"] == _translate(other, _case(other), tmp_path / "other").files["traces.jsonl"]
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
    tried = {(_case(name)["options"].get("policy"), code) for name in CASES for code in _violations_of(name)}
    assert {(policy, code) for policy in ("annotate", "repair", "reject") for code in VIOLATIONS} <= tried


def check_balance(output: Output) -> None:
    """Assert what must be true of every report and every output."""
    events, flows, ends, signals = (output.report[part] for part in ("events", "flows", "ends", "signals"))
    assert events["received"] == events["translated"] + events["duplicate"] + events["rejected"] + events["held"]
    assert events["held"] == flows["open"] == 0, "the input was drained"
    assert events["rejected"] == sum(events["rejected_by_reason"].values())
    assert flows["opened"] == sum(flows["closed"].values())
    assert sum(events["by_eid"].values()) <= events["received"]
    assert signals["spans"] == len(output.spans)
    assert signals["span_events"] == sum(len(node.events) for node in output.spans)
    assert signals["metric_points"] == len(output.points)
    assert len(output.files.get("dead-letter.jsonl", b"").splitlines()) == events["rejected"]
    closing = [node for node in output.spans if names.END_MID in node.attributes and names.START_MID in node.attributes]
    assert len(closing) <= ends["paired"]
    for node in output.spans:
        assert node.start_ns < node.end_ns
        assert all(node.start_ns <= time_ns for _, time_ns, _ in node.events), f"an event stands before its {node.kind}"


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
    wanted: dict[str, Any] = {"violations": {}, **dict.fromkeys(ABSENT_IS_ZERO, 0), **expected}
    wanted = {key: value for key, value in wanted.items() if key not in {"span", "same_as"}}
    assert wanted == {key: _without_zeros(found[key]) for key in wanted}


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


def _translate(name: str, case: dict[str, Any], scratch: Path) -> Output:
    """Run one input through the bridge with all output in memory; a line of ``traces.jsonl`` is one span."""
    findings: list[Finding] = []
    options = case["options"]
    bridge = Bridge(
        rules=Rules.load(options.get("rules", "standard")),
        policy=options.get("policy", "annotate"),
        lateness=duration_ns(options["lateness"]) if "lateness" in options else None,
        idle_gap=duration_ns(options["idle_gap"]) if "idle_gap" in options else None,
        trace_scope=options.get("trace_scope", "session"),
        max_open_flows=options.get("max_open_flows", 1_000_000),
        on_finding=findings.append,
    )
    signals: list[Signal] = []
    for document in read(str(FOLDER / name / case["input"]), limits=Limits()):
        if isinstance(document, Document):
            signals += bridge.feed(document.data, document.position)
        else:
            bridge.refuse(document)
    signals += bridge.drain()
    encoder = JsonEncoder()
    spans = [encoder.encode_traces([signal]) for signal in signals if isinstance(signal, Span)]
    points = [encoder.encode_metrics([signal]) for signal in signals if isinstance(signal, MetricPoint)]
    letters = DeadLetters(scratch / "dead-letter.jsonl")
    for finding in findings:
        if finding.refused:
            letters.write(finding)
    letters.close()
    report = bridge.tally.report()
    files = {
        "traces.jsonl": _lines(spans),
        "metrics.jsonl": _lines(points),
        "report.json": json.dumps(report, indent=1).encode() + b"\n",
        "dead-letter.jsonl": _portable(letters.path.read_bytes()) if letters.count else b"",
        "findings.json": _lines([json.dumps(_row(finding)).encode() for finding in findings]),
    }
    return Output(
        files={file: content for file, content in files.items() if content},
        report=report,
        findings=findings,
        spans=nodes([json.loads(line) for line in spans]),
        points=[_point(json.loads(line)) for line in points],
    )


def _lines(rows: list[bytes]) -> bytes:
    # The version of the package would change every file with every release.
    version = f'"version":"{__version__}"'.encode()
    return b"".join(row.replace(version, b'"version":"-"') + b"\n" for row in rows)


def _portable(letters: bytes) -> bytes:
    return letters.replace(str(FOLDER).encode(), b"tests/golden")


def _row(finding: Finding) -> dict[str, Any]:
    position = finding.position
    return {
        "line": position.line if position else None,
        "index": position.index if position else None,
        "mid": finding.mid,
        "code": finding.code,
        "path": finding.path,
        "expected": finding.expected,
        "found": finding.found,
        "refused": finding.refused,
    }


def _point(request: dict[str, Any]) -> tuple[str, float]:
    """Return name and value of the one measurement in an export request."""
    metric = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    point = metric["gauge"]["dataPoints"][0]
    value = int(point["asInt"]) if "asInt" in point else point["asDouble"]
    return plain(point["attributes"])[names.METRIC_NAME], value


def _without_zeros(value: Any) -> Any:
    return {key: number for key, number in value.items() if number != 0} if isinstance(value, dict) else value


def _violations_of(name: str) -> dict[str, int]:
    return _case(name)["expect"].get("violations", {})
