"""What is larger than a backend or a request takes: cut with a mark, told in parts, or refused with a reason."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from bridging import check_spans, run
from encoding import encode
from events import PORTAL, content
from otlp_receivers import GrpcReceiver

from sunbird_otel import names
from sunbird_otel._limits import Limits
from sunbird_otel._values import cut
from sunbird_otel.sinks.otlp.encode import ProtobufForm

if TYPE_CHECKING:
    from pathlib import Path

    from events import Event

    from sunbird_otel._signals import Attributes

SMALL = Limits(attribute_bytes=100)
P1 = content("do_1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 10),
        ("é" * 5, "é" * 5),
        ("é" * 6, "é" * 5),
        ("xé" * 4, "xéxéxéx"),  # the tenth byte is the first half of a letter
        ("x" * 7 + "\U0001f600", "x" * 7),
        (["ab"] * 5, ["ab"] * 5),
        (["ab"] * 6, ["ab"] * 5),
        (["ab", "x" * 9, "c"], ["ab"]),
        (["x" * 11, "c"], ["x" * 10]),
        (["é" * 6], ["é" * 5]),
        ([1], [1]),
        ([1.5, 2.5], [1.5]),
        ([True, False], [True]),
        (10**18, 10**18),
        (True, True),
    ],
    ids=repr,
)
def test_a_value_is_cut_at_the_limit_and_named(value: Any, expected: Any) -> None:
    attributes: Attributes = {"whole": "w", "key": value}
    cut(attributes, 10)
    assert attributes["key"] == expected
    assert attributes.get(names.TRUNCATED) == (["key"] if expected != value else None)
    assert attributes["whole"] == "w"
    again = dict(attributes)
    cut(again, 10)
    assert again["key"] == expected


def test_what_was_cut_before_stays_named() -> None:
    attributes: Attributes = {"b": "x" * 11}
    cut(attributes, 10)
    attributes["a"] = "x" * 11
    cut(attributes, 10)
    assert attributes[names.TRUNCATED] == ["a", "b"]


def long_error(at: float, letters: int) -> Event:
    return PORTAL.event("ERROR", at, {"err": "E", "errtype": "SYSTEM", "stacktrace": "s" * letters})


def test_long_texts_of_span_events_and_spans_are_cut_each_with_its_mark() -> None:
    told = [
        PORTAL.start(0, "session"),
        PORTAL.event("START", 1, {"type": "content", "mode": "m" * 101}, object=P1),
        long_error(2, 101),
        long_error(3, 100),
        PORTAL.event("END", 4, {"type": "content", "mode": "m" * 101, "pageid": "p" * 102}, object=P1),
        PORTAL.end(9, "session"),
        PORTAL.event("AUDIT", 10, {"state": "a" * 200, "props": ["status"]}, object=P1),
    ]
    done = run(told, limits=SMALL)
    check_spans(done)
    player = done.flow("player")
    assert player.attributes["sunbird.edata.mode"] == "m" * 100
    assert player.attributes["sunbird.end.pageid"] == "p" * 100
    assert player.attributes[names.TRUNCATED] == ["sunbird.edata.mode", "sunbird.end.mode", "sunbird.end.pageid"]
    first, second = player.events
    assert first.attributes["exception.stacktrace"] == "s" * 100
    assert first.attributes[names.TRUNCATED] == ["exception.stacktrace"]
    assert names.TRUNCATED not in second.attributes
    assert names.TRUNCATED not in done.flow("session").attributes
    assert done.instant("AUDIT").attributes[names.TRUNCATED] == ["sunbird.audit.state"]


def test_nothing_is_cut_below_the_limit() -> None:
    told = [PORTAL.start(0, "session"), long_error(1, 65_536), PORTAL.end(2, "session")]
    [event] = run(told).flow("session").events
    assert event.attributes["exception.stacktrace"] == "s" * 65_536
    assert names.TRUNCATED not in event.attributes


def test_a_span_holds_no_more_bytes_than_the_limit_also_when_the_next_event_is_large() -> None:
    told = [PORTAL.start(0, "session"), *(long_error(at, 900) for at in range(1, 20)), PORTAL.end(30, "session")]
    size = len(json.dumps(told[1]))
    done = run(told, limits=Limits(span_bytes=2 * size + 100))
    assert [len(span.events) for span in done.spans] == [2] * 9 + [1]
    assert done.tally.span_events == 19


def test_an_event_that_no_request_can_hold_is_refused_whatever_else_is_allowed() -> None:
    large = long_error(1, 3_700_000)
    limits = Limits(event_bytes=8 << 20, string_bytes=8 << 20, attribute_bytes=8 << 20)
    done = run([PORTAL.start(0, "session"), large, PORTAL.end(9, "session")], limits=limits)
    [finding] = [finding for finding in done.findings if finding.refused]
    assert (finding.code, finding.mid) == ("too_large", large["mid"])
    assert finding.expected == "at most 3670016 bytes, since one request must hold it (limit request_bytes)"
    assert finding.event == large
    roomy = Limits(**dict.fromkeys(("event_bytes", "string_bytes", "attribute_bytes", "request_bytes"), 8 << 20))
    assert run([large], limits=roomy).tally.rejected == 0


def test_lists_of_numbers_do_not_grow_beyond_a_request() -> None:
    """Two bytes of JSON are eleven in protobuf: a list of reals that nobody cuts would not fit."""
    props = [1.5, *[1] * 500_000]
    told = PORTAL.event("AUDIT", 1, {"props": props, "state": "s"}, object=P1)
    assert len(json.dumps(told, separators=(",", ":"))) < Limits().event_bytes
    [span] = run([told]).spans
    assert len(encode(ProtobufForm(), [span])) < 200_000
    assert span.attributes[names.TRUNCATED] == ["sunbird.audit.props"]


def test_large_events_reach_a_grpc_receiver_that_takes_four_mebibytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from command_line import run as command
    from command_line import write

    told = [
        PORTAL.start(0, "session"),
        *(long_error(at, 250_000) for at in range(1, 60)),
        PORTAL.end(90, "session"),
        *(long_error(at, 250_000) for at in range(100_000, 100_020)),
    ]
    path = write(tmp_path / "large.jsonl", told)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with GrpcReceiver() as receiver:  # 4 MiB is what gRPC takes by itself
        done = command(
            "replay", str(path), "--endpoint", receiver.url, "--protocol", "grpc",
            "--max", "attribute_bytes=256KiB", cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    sizes = [got.size for got in receiver.got]
    assert sum(sizes) > 79 * 250_000
    assert max(sizes) <= 3_670_016
    texts = [
        attribute.value.string_value
        for got in receiver.got
        for resource in got.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        for holder in (span, *span.events)
        for attribute in holder.attributes
        if attribute.key == "exception.stacktrace"
    ]
    assert [len(text) for text in texts] == [250_000] * 79
    assert [file.name for file in tmp_path.iterdir()] == ["large.jsonl"]


def test_the_table_of_limits_tells_each_with_its_value(project: Path) -> None:
    from sunbird_otel.cli._quantities import size_bytes

    section = (project / "docs" / "commands.md").read_text("utf-8").partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.MULTILINE))
    assert {name: size_bytes(text) for name, text in rows.items()} == asdict(Limits())
