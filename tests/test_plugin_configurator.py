"""Ways in without code, each in a process of its own: which of them keeps the rules, joins sessions, and says so."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from service_process import ReceivedSpan, run_program

from sunbird_otel import names
from sunbird_otel._ids import session_trace

JOB = "flow_job.py"
REQUEST, INSIDE, ALONE = "GET /play", "play in a session", "play alone"
STOCK = "configurator"
"""The configurator of opentelemetry-distro."""

NOT_KEPT = "OpenTelemetry was set up without it, so flow spans are exported as they are"


def session_traces() -> set[int]:
    """Return the trace of the program's session; two while midnight passes."""
    now = time.time_ns()
    return {int.from_bytes(session_trace("c1", "d1", "s1", at)) for at in (now - 60 * 10**9, now)}


def violations(span: ReceivedSpan) -> list[str]:
    found: list[str] = span.attributes.get(names.FLOW_VIOLATIONS, [])
    return found


# --- OTEL_PYTHON_CONFIGURATOR=sunbird ----------------------------------------------------------------------------


def test_one_variable_keeps_the_rules_and_joins_sessions() -> None:
    done = run_program(JOB)
    assert done.spans[REQUEST].trace_id in session_traces()
    assert done.spans[REQUEST].parent == ""
    assert done.spans[REQUEST].attributes[names.SESSION_ID] == "s1"
    assert violations(done.spans[INSIDE]) == []
    assert done.spans[INSIDE].attributes[names.FLOW_END_REASON] == "end"
    assert violations(done.spans[ALONE]) == ["missing_parent"]
    assert "sunbird-otel" not in done.errors


@pytest.mark.parametrize("by_file", [False, True], ids=["variable", "file"])
def test_settings_have_the_words_of_the_commands(by_file: bool, tmp_path: Path) -> None:
    (tmp_path / "sunbird.toml").write_text('policy = "reject"\ntrace-scope = "run"\nmemory = "1GiB"\n')
    variables = (
        {"SUNBIRD_OTEL_CONFIG": str(tmp_path / "sunbird.toml")}
        if by_file
        else {"SUNBIRD_OTEL_POLICY": "reject", "SUNBIRD_OTEL_TRACE_SCOPE": "run"}
    )
    done = run_program(JOB, **variables)
    assert ALONE not in done.spans
    assert INSIDE in done.spans
    assert done.spans[REQUEST].trace_id not in session_traces()
    assert done.spans[REQUEST].attributes[names.SESSION_ID] == "s1"


def test_rules_of_ones_own(tmp_path: Path) -> None:
    rules = tmp_path / "free.toml"
    rules.write_text('[adjust.player]\nparents = ["root", "session"]\nwithin = []\n')
    done = run_program(JOB, SUNBIRD_OTEL_RULES=f"standard,{rules}")
    assert violations(done.spans[ALONE]) == []


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"SUNBIRD_OTEL_POLICY": "mend"},
            "SUNBIRD_OTEL_POLICY: expected annotate, repair or reject; found 'mend'",
        ),
        (
            {"SUNBIRD_OTEL_RULES": "nowhere.toml"},
            "SUNBIRD_OTEL_RULES: nowhere.toml: no such file; expected ",
        ),
    ],
)
def test_a_wrong_setting_leaves_opentelemetry_as_it_is(variables: dict[str, str], told: str) -> None:
    done = run_program(JOB, **variables)
    assert told in done.errors
    assert "OpenTelemetry runs without sunbird-otel until this is corrected" in done.errors
    assert "Traceback" not in done.errors
    assert names.FLOW_END_REASON not in done.spans[ALONE].attributes
    assert done.spans[REQUEST].trace_id not in session_traces()
    assert done.spans[REQUEST].attributes == {}


def test_settings_of_the_commands_do_not_matter_here() -> None:
    done = run_program(JOB, SUNBIRD_OTEL_MEMORY="plenty", SUNBIRD_OTEL_OUTPUT="out", SUNBIRD_OTEL_ENDPOINT="x")
    assert violations(done.spans[ALONE]) == ["missing_parent"]


def test_all_exporters_get_the_same() -> None:
    done = run_program(JOB, OTEL_TRACES_EXPORTER="otlp,console", SUNBIRD_OTEL_POLICY="repair")
    made = [span for span in done.spans.values() if span.span_id == done.spans[ALONE].parent]
    assert len(made) == 1
    assert done.output.count(f'"span_id": "0x{made[0].span_id}"') == 1
    assert done.output.count(f'"span_id": "0x{done.spans[ALONE].span_id}"') == 1


def test_without_exporters_it_runs() -> None:
    assert run_program(JOB, OTEL_TRACES_EXPORTER="none").spans == {}


def test_other_propagators_are_respected() -> None:
    done = run_program(JOB, OTEL_PROPAGATORS="tracecontext,baggage")
    assert done.spans[REQUEST].trace_id not in session_traces()
    assert names.SESSION_ID not in done.spans[REQUEST].attributes
    assert run_program(JOB, OTEL_PROPAGATORS="tracecontext,sunbird").spans[REQUEST].trace_id in session_traces()


def test_another_id_generator_is_respected() -> None:
    """The trace is joined all the same; what carries its id is then a remote parent."""
    done = run_program(JOB, OTEL_PYTHON_ID_GENERATOR="random")
    assert done.spans[REQUEST].trace_id in session_traces()
    assert done.spans[REQUEST].parent != ""


def test_many_events_are_divided_and_open_flows_told() -> None:
    long = run_program(
        "long_flow.py",
        SUNBIRD_OTEL_SPAN_EVENTS="100",
        SUNBIRD_OTEL_ATTRIBUTE_BYTES="1KiB",
        SUNBIRD_OTEL_PENDING="true",
        SUNBIRD_OTEL_PENDING_AFTER="0s",
    )
    parts = {
        (span.name, span.attributes.get(names.FLOW_SEGMENT), names.FLOW_PENDING in span.attributes): span
        for span in long.every
    }
    assert {key: len(span.events) for key, span in parts.items()} == {
        ("session", None, True): 0,
        ("session segment", 1, False): 100,
        ("session segment", 2, False): 100,
        ("session", None, False): 50,
    }
    whole = parts["session", None, False]
    assert {span.parent for span in long.every} == {"", whole.span_id}
    assert (len(whole.attributes["text"]), whole.attributes[names.TRUNCATED]) == (1024, ["text"])


# --- Another configurator ----------------------------------------------------------------------------------------


def test_after_another_configurator_sessions_are_joined_and_the_rest_is_said() -> None:
    done = run_program(JOB, OTEL_PYTHON_CONFIGURATOR=STOCK)
    assert done.spans[REQUEST].trace_id in session_traces()
    assert done.spans[REQUEST].parent == ""
    assert done.spans[REQUEST].attributes[names.SESSION_ID] == "s1"
    assert names.FLOW_END_REASON not in done.spans[ALONE].attributes
    assert done.errors.count(NOT_KEPT) == 1
    assert "OTEL_PYTHON_CONFIGURATOR=sunbird" in done.errors


@pytest.mark.parametrize("disabled", ["sunbird", "flask, sunbird", "*"])
def test_it_can_be_switched_off(disabled: str) -> None:
    done = run_program(JOB, OTEL_PYTHON_CONFIGURATOR=STOCK, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled)
    assert done.spans[REQUEST].trace_id not in session_traces()
    assert "sunbird-otel" not in done.errors


@pytest.mark.parametrize("configurator", [STOCK, "sunbird"])
def test_an_exporter_that_keeps_the_rules_can_be_named_instead(configurator: str) -> None:
    done = run_program(JOB, OTEL_PYTHON_CONFIGURATOR=configurator, OTEL_TRACES_EXPORTER="sunbird")
    assert violations(done.spans[ALONE]) == ["missing_parent"]
    assert done.spans[REQUEST].trace_id in session_traces()
    assert "sunbird-otel" not in done.errors


# --- OTEL_CONFIG_FILE --------------------------------------------------------------------------------------------


@pytest.fixture
def config_file(project: Path) -> str:
    pytest.importorskip("opentelemetry.configuration", reason="it came with the SDK 1.44")
    return str(project / "examples" / "zero_code" / "config.yaml")


@pytest.mark.parametrize("configurator", [STOCK, "sunbird"])
def test_a_configuration_file_names_exporter_propagator_and_ids(configurator: str, config_file: str) -> None:
    done = run_program(JOB, OTEL_PYTHON_CONFIGURATOR=configurator, OTEL_CONFIG_FILE=config_file)
    assert done.spans[REQUEST].trace_id in session_traces()
    assert done.spans[REQUEST].parent == ""
    assert done.spans[REQUEST].attributes[names.SESSION_ID] == "s1"
    assert violations(done.spans[INSIDE]) == []
    assert violations(done.spans[ALONE]) == ["missing_parent"]
    assert "sunbird-otel" not in done.errors


@pytest.mark.parametrize("configurator", [STOCK, "sunbird"])
def test_what_a_configuration_file_leaves_out_is_left_out(configurator: str, config_file: str, tmp_path: Path) -> None:
    text = Path(config_file).read_text("utf-8")
    without = tmp_path / "config.yaml"
    before, _, after = text.partition("          sunbird:\n            #")
    after = after[after.index("\npropagator") :].replace("    - sunbird:\n", "")
    without.write_text(f"{before}          otlp_http: {{endpoint: '${{TRACES}}'}}\n{after}")
    done = run_program(JOB, OTEL_PYTHON_CONFIGURATOR=configurator, OTEL_CONFIG_FILE=str(without))
    assert done.spans[REQUEST].trace_id not in session_traces()
    assert names.FLOW_END_REASON not in done.spans[ALONE].attributes
    assert done.errors.count(NOT_KEPT) == 1


# --- What is installed -------------------------------------------------------------------------------------------


# The SDK 1.39 warns of parts of its own.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("group", ["configurator", "id_generator", "pre_instrument", "propagator", "traces_exporter"])
def test_opentelemetry_finds_it_by_its_name(group: str) -> None:
    (found,) = entry_points(group=f"opentelemetry_{group}", name="sunbird")
    assert callable(found.load())


def test_the_plugin_is_light_until_it_is_used() -> None:
    """A service pays for what it uses: no OpenTelemetry for the package's name, no commands for its settings."""
    code = """
import sys
import sunbird_otel.plugin
print("opentelemetry" in sys.modules)
import sunbird_otel.plugin._settings
print({"rich", "typer"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "set()"]
