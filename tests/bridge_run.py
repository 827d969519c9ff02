"""One input through the whole bridge with all output in memory, as ``sunbird-otel replay`` would write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoding import encode
from span_tree import Node, nodes, plain

from sunbird_otel import Bridge, Finding, Limits, MetricPoint, Rules, Signal, Span, __version__, names
from sunbird_otel._rules_file import duration_ns
from sunbird_otel.sinks import DeadLetters
from sunbird_otel.sinks.otlp.json import JsonForm
from sunbird_otel.sources.files import Document, Lines, read

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = ("traces.jsonl", "metrics.jsonl", "report.json", "dead-letter.jsonl", "findings.jsonl")
"""The files of :attr:`Output.files`; one that would be empty is left out."""


@dataclass(frozen=True, slots=True)
class Output:
    """What came of one input: the files that are recorded, by name, and what the facts are checked on."""

    files: dict[str, bytes]
    report: dict[str, Any]
    findings: list[Finding]
    spans: list[Node]
    points: list[tuple[str, float]]


def run(path: Path, options: dict[str, Any], scratch: Path) -> Output:
    """Run one input through the bridge.

    Args:
        path: the input, of any form that ``sunbird-otel replay`` reads.
        options: those of the command that concern the bridge, by their names there.
        scratch: an empty folder to work in.

    Returns:
        What came; in ``traces.jsonl`` and ``metrics.jsonl`` each span and each point has a line of its own.
    """
    findings: list[Finding] = []
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
    for document in read(str(path), limits=Limits()):
        if isinstance(document, Lines):
            signals += bridge.feed_lines(document)
        elif isinstance(document, Document):
            signals += bridge.feed(document.data, document.position)
        else:
            bridge.refuse(document)
    signals += bridge.drain()
    form = JsonForm()
    spans = [encode(form, [signal]) for signal in signals if isinstance(signal, Span)]
    points = [encode(form, [signal]) for signal in signals if isinstance(signal, MetricPoint)]
    refused = [finding for finding in findings if finding.refused]
    letters = DeadLetters(scratch / "dead-letter.jsonl")
    for finding in refused:
        letters.write(finding)
    letters.close()
    dead = letters.path.read_bytes().replace(str(path).encode(), path.name.encode()) if refused else b""
    report = bridge.tally.report()
    files = {
        "traces.jsonl": _lines(spans),
        "metrics.jsonl": _lines(points),
        "report.json": json.dumps(report, indent=1).encode() + b"\n",
        "dead-letter.jsonl": dead,
        "findings.jsonl": _lines([json.dumps(_row(finding)).encode() for finding in findings]),
    }
    return Output(
        files={file: content for file, content in files.items() if content},
        report=report,
        findings=findings,
        spans=nodes([json.loads(line) for line in spans]),
        points=[_point(json.loads(line)) for line in points],
    )


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
    closed_by_an_event = sum(names.END_MID in node.attributes for node in output.spans)
    assert closed_by_an_event <= ends["paired"] <= flows["closed"]["end"]
    for node in output.spans:
        assert node.start_ns < node.end_ns
        if node.attributes.get(names.FLOW_END_REASON) != "end":
            # An instant lasts 1 ns beyond the event that it stands for.
            last = max([child.end_ns - 1 for child in node.children], default=0)
            assert last <= node.end_ns, f"a {node.kind} without END ends before what is inside it"


def _lines(rows: list[bytes]) -> bytes:
    # The version of the package would change every file with every release.
    version = f'"version":"{__version__}"'.encode()
    return b"".join(row.replace(version, b'"version":"-"') + b"\n" for row in rows)


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
