"""``sunbird-otel replay``: what arrives where, what is kept, and what the summary and the report say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import lines, run, session, write
from otlp_receivers import HttpReceiver, Reply, span_names
from typer.testing import CliRunner, Result

from sunbird_otel.cli._app import app
from sunbird_otel.cli._intake import Intake

BROKEN = {**session()[2], "ets": "yesterday"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder with an environment in which nothing is configured."""
    monkeypatch.chdir(tmp_path)
    for name in ("SUNBIRD_OTEL_POLICY", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def replay(*arguments: str, stdin: bytes | None = None) -> Result:
    """Replay in this process; an exception that comes through is a failure."""
    return CliRunner().invoke(app, ["replay", *arguments], input=stdin, catch_exceptions=False)


def report(path: str = "report.json") -> dict[str, Any]:
    """Return the report, whose accounts balance."""
    told: dict[str, Any] = json.loads(Path(path).read_text())
    events, flows = told["events"], told["flows"]
    assert events["received"] == events["translated"] + events["duplicate"] + events["rejected"] + events["held"]
    assert flows["opened"] == flows["open"] + sum(flows["closed"].values())
    return told


def spans(folder: str = "otlp") -> list[str]:
    """Return the names of the spans in the output folder."""
    requests = [json.loads(line) for line in Path(folder, "traces.jsonl").read_text().splitlines()]
    return [
        span["name"]
        for request in requests
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def letters(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_files_in_a_folder(here: Path) -> None:
    write(here / "a.jsonl", session(1))
    (here / "b.json.gz").write_bytes(gzip.compress(json.dumps({"events": session(2)}).encode()))
    done = replay("a.jsonl", "b.json.gz", "--output", "new/otlp", "--report", "reports/report.json")
    assert (done.exit_code, done.stdout) == (0, "")
    assert sorted(spans("new/otlp")) == ["app", "app", "session", "session"]
    written = ["dead-letter.jsonl", "logs.jsonl", "metrics.jsonl", "traces.jsonl"]
    assert sorted(path.name for path in Path("new/otlp").iterdir()) == written
    told = report("reports/report.json")
    assert told["events"]["by_eid"] == {"END": 4, "INTERACT": 4, "START": 4}
    assert told["signals"]["spans"] == 4
    assert "output   new/otlp: traces.jsonl, metrics.jsonl, logs.jsonl" in done.stderr
    assert "4 spans delivered" in done.stderr


def test_the_report_alone_on_the_standard_output(here: Path) -> None:
    write(here / "a.jsonl", session())
    done = replay("a.jsonl", "--output", "otlp", "--report", "-")
    assert json.loads(done.stdout)["events"]["received"] == 6


def test_quiet_writes_nothing(here: Path) -> None:
    write(here / "a.jsonl", session())
    done = replay("a.jsonl", "--output", "otlp", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_the_same_input_gives_the_same_files(here: Path) -> None:
    write(here / "a.jsonl", [*session(1), *session(2)])
    write(here / "b.jsonl", [*reversed(session(2)), *reversed(session(1))])
    replay("a.jsonl", "--output", "one")
    replay("b.jsonl", "--output", "two")
    assert Path("one/traces.jsonl").read_bytes() == Path("two/traces.jsonl").read_bytes()


def test_refused_events_in_the_folder_belong_to_the_last_run(here: Path) -> None:
    write(here / "a.jsonl", [*session(), BROKEN, {"no": "event"}])
    done = replay("a.jsonl", "--output", "otlp", "--report", "report.json")
    assert done.exit_code == 0
    kept = letters("otlp/dead-letter.jsonl")
    assert [each["code"] for each in kept] == ["invalid_value", "not_an_event"]
    assert kept[0]["event"] == BROKEN
    assert (kept[0]["source"], kept[0]["line"]) == ("a.jsonl", 7)
    assert report()["events"]["rejected_by_reason"] == {"invalid_value": 1, "not_an_event": 1}
    assert "rejected  1 invalid_value, 1 not_an_event" in done.stderr
    assert f"2 refused, kept in {here / 'otlp' / 'dead-letter.jsonl'}" in done.stderr
    write(here / "a.jsonl", session())
    replay("a.jsonl", "--output", "otlp")
    assert letters("otlp/dead-letter.jsonl") == []


def test_refused_events_in_a_file_of_choice(here: Path) -> None:
    write(here / "a.jsonl", [*session(), BROKEN])
    replay("a.jsonl", "--output", "otlp", "--dead-letter", "refused/today.jsonl")
    assert len(letters("refused/today.jsonl")) == 1
    assert not Path("otlp/dead-letter.jsonl").exists()


def test_the_policy_reject_puts_whole_flows_aside(here: Path) -> None:
    write(here / "a.jsonl", session()[:-1])
    replay("a.jsonl", "--output", "otlp", "--policy", "reject", "--report", "report.json")
    assert report()["events"]["rejected_by_reason"] == {"missing_end": 5}
    assert [each["code"] for each in letters("otlp/dead-letter.jsonl")] == ["missing_end"] * 5
    assert spans() == []


def test_a_receiver(here: Path) -> None:
    write(here / "a.jsonl", [*session(), BROKEN])
    with HttpReceiver() as receiver:
        done = replay("a.jsonl", "--endpoint", receiver.url)
    assert done.exit_code == 0
    assert sorted(span_names(receiver.got)) == ["app", "session"]
    assert f"output    {receiver.url}\n" in done.stderr
    assert f"1 refused, kept in {here / 'sunbird-otel.dead-letter.jsonl'}" in done.stderr
    assert len(letters("sunbird-otel.dead-letter.jsonl")) == 1


def test_a_receiver_leaves_nothing_behind_when_all_is_well(here: Path) -> None:
    write(here / "a.jsonl", session())
    with HttpReceiver() as receiver:
        replay("a.jsonl", "--endpoint", receiver.url)
    assert [path.name for path in here.iterdir()] == ["a.jsonl"]


def test_the_standard_variables_name_the_receiver(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "a.jsonl", session())
    with HttpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        assert replay("a.jsonl").exit_code == 0
    assert sorted(span_names(receiver.got)) == ["app", "session"]


def test_a_receiver_without_metrics_is_no_failure(here: Path) -> None:
    from events import PLATFORM

    write(here / "a.jsonl", [*session(), PLATFORM.metrics(5, heap=3.5)])
    with HttpReceiver() as receiver:
        receiver.always["metrics"] = Reply(404)
        done = replay("a.jsonl", "--endpoint", receiver.url)
    assert done.exit_code == 0
    assert "1 metric points skipped" in done.stderr
    assert done.stderr.count("notes") == 1


def test_what_was_not_delivered_can_be_sent_again(here: Path) -> None:
    write(here / "a.jsonl", session())
    done = replay("a.jsonl", "--endpoint", "http://127.0.0.1:9", "--retry-for", "0s", "--undelivered", "kept")
    assert done.exit_code == 4
    assert "sunbird-otel replay kept/*.jsonl" in done.stderr
    (kept,) = Path("kept").glob("*.jsonl")
    again = replay(str(kept), "--endpoint", "http://127.0.0.1:9", "--retry-for", "0s")
    assert again.exit_code == 4
    assert "They are still where they were read from" in again.stderr
    assert sorted(here.rglob("*.jsonl")) == [here / "a.jsonl", here / kept]
    with HttpReceiver() as receiver:
        again = replay(str(kept), "--endpoint", receiver.url)
    assert again.exit_code == 0
    assert sorted(span_names(receiver.got)) == ["app", "session"]
    assert f"{kept} holds OTLP requests in place of events; passed on as they are: 1" in again.stderr


def test_requests_and_events_in_one_run(here: Path) -> None:
    write(here / "a.jsonl", session(1))
    write(here / "b.jsonl", session(2))
    replay("a.jsonl", "--output", "first")
    compressed = here / "traces.gz"
    compressed.write_bytes(gzip.compress(Path("first/traces.jsonl").read_bytes()))
    done = replay(str(compressed), "b.jsonl", "--output", "second", "--report", "report.json")
    assert done.exit_code == 0
    assert sorted(spans("second")) == ["app", "app", "session", "session"]
    assert report()["events"]["received"] == 6


def test_a_broken_request_line_is_unreadable(here: Path) -> None:
    (here / "requests.jsonl").write_text('{"resourceSpans": []}\n{"resourceSpans": [{"scopeSpans": 3}]}\n')
    done = replay("requests.jsonl", "--output", "otlp")
    assert done.exit_code == 3
    assert "requests.jsonl, line 2: expected an OTLP/JSON export request" in done.stderr


@pytest.mark.parametrize("result", ["traces.jsonl", "dead-letter.jsonl"])
def test_no_input_is_written_over(here: Path, result: str) -> None:
    Path("otlp").mkdir()
    write(here / "otlp" / result, session())
    done = replay(f"./otlp/../otlp/{result}", "--output", "otlp")
    assert done.exit_code == 2
    assert "is read, and would be written over" in done.stderr
    assert replay(f"otlp/{result}", "--output", "new", "--report", f"otlp/{result}").exit_code == 2
    assert Path("otlp", result).read_bytes() == lines(session())


def test_memory_that_runs_out_is_said(here: Path) -> None:
    write(here / "a.jsonl", [event for number in range(60) for event in session(number, touches=20)])
    done = replay("a.jsonl", "--output", "otlp", "--memory", "16KiB")
    assert done.exit_code == 0
    assert "events were let go before the whole input was in order; a larger --memory keeps them" in done.stderr


def test_options_reach_the_bridge(here: Path) -> None:
    whole = session()
    write(here / "a.jsonl", [*whole[:3], *whole[-2:]])
    (here / "c.toml").write_text('max = ["event_bytes=300"]\nidle-gap = "5s"\ntrace-scope = "run"\n')
    replay("a.jsonl", "--output", "otlp", "--report", "report.json")
    assert report()["flows"]["closed"]["idle"] == 0
    replay("a.jsonl", "--output", "otlp", "--report", "report.json", "--idle-gap", "5s")
    assert report()["flows"]["closed"]["idle"] == 2
    replay("a.jsonl", "--output", "otlp", "--report", "report.json", "--max-open-flows", "1")
    assert report()["flows"]["closed"]["evicted"] > 0
    replay("a.jsonl", "--output", "otlp", "--report", "report.json", "--config", "c.toml")
    assert report()["events"]["rejected_by_reason"] == {"too_large": 5}


def test_names_with_markup_and_control_characters_are_only_shown(here: Path) -> None:
    name = "[red]\x1b[31m.jsonl"
    (here / name).touch()
    done = replay(name, "--output", "otlp")
    assert r"sunbird-otel: [red]\x1b[31m.jsonl is empty." in done.stderr


def test_a_defect_keeps_what_there_is_and_marks_it_as_partial(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def signals(_: Intake[Any]) -> Any:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(Intake, "signals", signals)
    write(here / "a.jsonl", session())
    done = replay("a.jsonl", "--output", "otlp")
    assert done.exit_code == 70
    assert not Path("otlp/traces.jsonl").exists()


def test_the_corpus(here: Path, corpus: Path) -> None:
    done = run("replay", *map(str, sorted(corpus.glob("*.jsonl"))), "--output", "o", "--report", "r.json", cwd=here)
    assert done.returncode == 0
    events = report("r.json")["events"]
    assert (events["received"], events["held"]) == (694, 0)
