"""The dead-letter file: every refusal once, and never at the cost of an earlier run's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sunbird_otel._findings import ADVICE, Finding, Position
from sunbird_otel.errors import SinkError
from sunbird_otel.sinks import DeadLetters

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = Finding(
    code="missing_field",
    path="$.mid",
    expected="a string",
    found="nothing",
    position=Position("events.jsonl.gz", 7, 2),
    eid="START",
    refused=True,
    event={"eid": "START", "name": "नमस्ते"},
)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, *findings: Finding, **options: Any) -> DeadLetters:
    letters = DeadLetters(path, **options)
    for finding in findings:
        letters.write(finding)
    letters.close()
    return letters


def test_a_line_says_what_where_why_and_what_next(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    unreadable = Finding(code="not_json", path="$", expected="JSON", found="text", raw='{"eid":')
    assert write(path, REFUSED, unreadable).count == 2
    assert rows(path) == [
        {
            "code": "missing_field",
            "path": "$.mid",
            "expected": "a string",
            "found": "nothing",
            "advice": ADVICE["missing_field"],
            "source": "events.jsonl.gz",
            "line": 7,
            "index": 2,
            "eid": "START",
            "mid": "",
            "event": {"eid": "START", "name": "नमस्ते"},
        },
        {
            "code": "not_json",
            "path": "$",
            "expected": "JSON",
            "found": "text",
            "advice": ADVICE["not_json"],
            "source": None,
            "line": None,
            "index": None,
            "eid": "",
            "mid": "",
            "raw": '{"eid":',
        },
    ]
    assert path.stat().st_mode & 0o777 == 0o600


class Opaque:
    def __str__(self) -> str:
        return "opaque"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("event", "written"),
    [
        ({"n": 10**30}, {"n": 10**30}),
        ({"s": "a\ud800b"}, {"s": "a\ud800b"}),
        ({"deep": nested(300)}, {"deep": nested(300)}),
        ({"o": Opaque(), 7: [1.5, None, True]}, {"o": "opaque", "7": [1.5, None, True]}),
    ],
)
def test_events_that_plain_json_writers_refuse_are_kept(event: Any, written: Any, tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    write(path, replace(REFUSED, event=event), REFUSED)
    assert rows(path)[0]["event"] == written
    assert len(rows(path)) == 2


def test_a_number_that_is_none_is_kept_as_text(tmp_path: Path) -> None:
    event = {"edata": [float("nan"), float("inf"), 1.0]}
    write(tmp_path / "dead.jsonl", replace(REFUSED, code="invalid_number", event=event))
    assert rows(tmp_path / "dead.jsonl")[0]["event"] == {"edata": ["nan", "inf", 1.0]}


def test_an_event_nested_beyond_writing_is_still_counted_and_named(tmp_path: Path) -> None:
    write(tmp_path / "dead.jsonl", replace(REFUSED, event=nested(100_000)))
    row = rows(tmp_path / "dead.jsonl")[0]
    assert "nested too deeply" in row["raw"]
    assert row["line"] == 7


def test_without_refusals_there_is_no_file(tmp_path: Path) -> None:
    assert write(tmp_path / "sub" / "dead.jsonl").count == 0
    assert list(tmp_path.iterdir()) == []


def test_the_same_run_again_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    write(path, REFUSED)
    assert write(path, REFUSED).set_aside is None
    assert [file.name for file in tmp_path.iterdir()] == ["dead.jsonl"]
    assert len(rows(path)) == 1


def test_another_run_sets_the_earlier_file_aside(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    write(path, REFUSED)
    assert write(path, REFUSED, REFUSED).set_aside == tmp_path / "dead.jsonl.1"
    assert write(path, replace(REFUSED, mid="m")).set_aside == tmp_path / "dead.jsonl.2"
    write(path)
    assert [len(rows(path.with_name(name))) for name in ("dead.jsonl.1", "dead.jsonl.2", "dead.jsonl")] == [1, 2, 1]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_file_of_a_result_folder_belongs_to_the_last_run(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    write(path, REFUSED, REFUSED, earlier="replace")
    write(path, REFUSED, earlier="replace")
    assert len(rows(path)) == 1
    write(path, earlier="replace")
    assert list(tmp_path.iterdir()) == [path]
    assert rows(path) == []


def test_a_service_appends_every_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    letters = DeadLetters(path, earlier="append")
    letters.write(REFUSED)
    assert len(rows(path)) == 1
    letters.abort()
    with path.open("ab") as file:
        file.write(b'{"cut":')
    write(path, REFUSED, earlier="append")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["code"] == "missing_field"


def test_a_run_that_is_broken_off_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    write(path, REFUSED)
    letters = DeadLetters(path)
    letters.write(REFUSED)
    letters.write(REFUSED)
    letters.abort()
    letters.close()
    assert len(rows(path)) == 1
    (partial,) = tmp_path.glob("*.partial")
    assert len(rows(partial)) == 2


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    from pathlib import Path as RealPath

    write(RealPath("/dev/null"), REFUSED)
    assert RealPath("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write(tmp_path / "link", REFUSED)
    assert (tmp_path / "link").is_symlink()
    assert len(rows(tmp_path / "target")) == 1


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    from pathlib import Path as RealPath

    letters = DeadLetters(RealPath("/dev/full"))
    with pytest.raises(SinkError, match=r"/dev/full cannot be written: No space left on device; 0 refused events"):
        letters.write(REFUSED)
    blocked = DeadLetters(tmp_path / "file" / "dead.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="Not a directory"):
        blocked.write(REFUSED)
