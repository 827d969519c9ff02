"""The bridge never raises, its accounts balance, and each refusal says code, place, expected and found, for any input.

Inputs are events of all kinds with something wrong: bytes changed, cut, repeated or joined, or JSON values put where
others were. Each goes through a bridge that lives for some inputs, with options that change from bridge to bridge.

The exit code is 1 when something breaks; the inputs since the bridge was made are then in a file that is named, and
``--replay FILE`` feeds them again.
"""

from __future__ import annotations

import argparse
import base64
import copy
import json
import random
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bridging import POLICIES, Run, check_balance, check_drained, check_found_once, check_spans, standard
from events import EDITOR, JOB, MOBILE, PLATFORM, PLAYER, PORTAL, T0, Event, content, correlation
from strategies import INSIDE, RIDS, TYPES

from sunbird_otel import Bridge
from sunbird_otel._apart import documents
from sunbird_otel._document import Document, Lines, is_whole
from sunbird_otel._json import is_array, is_object
from sunbird_otel._limits import Limits

if TYPE_CHECKING:
    from sunbird_otel._findings import Finding

SECOND = 1_000_000_000
SLOWEST_S = 2.0
"""An input that takes longer has found work that grows faster than its size."""
INPUTS_A_BRIDGE = 200
BY_LINE = 0.5
LINE_ENDS = re.compile(rb"[\n\r\x1e]")
CLIENTS = (MOBILE, PLAYER, PORTAL, EDITOR, PLATFORM, JOB)
LIMITS = Limits(event_bytes=200_000, string_bytes=50_000, batch_events=500)

Random: TypeAlias = random.Random
Mutation: TypeAlias = Callable[[Random, bytes], bytes]


def seeds() -> list[bytes]:
    """Return events of all kinds, and some together, as documents."""
    about: Event = {"object": content("do_1"), "cdata": correlation(PlaySession="p1", session=PORTAL.sid)}
    writers = (MOBILE.start, MOBILE.end)
    events = [write(number, type_, "play", **about) for number, type_ in enumerate(TYPES) for write in writers]
    events += [client.event(eid, 20, edata, **about) for client in CLIENTS for eid, edata in INSIDE]
    events += [PLATFORM.api_access(25, 40, rid) for rid in RIDS]
    events += [PLATFORM.log(24, cdata=correlation(Request=rid)) for rid in RIDS]
    events += [PLATFORM.ready(0), PLATFORM.stopped(60), PLATFORM.metrics(30, jobs=3, startTime=T0)]
    events += [JOB.job_start(0), JOB.job_log(1), JOB.job_end(2, "FAILED"), PLAYER.assess(5), PORTAL.error(6)]
    batch = {"id": "api.telemetry", "ver": "3.0", "params": {"msgid": "m"}, "events": events[5:9]}
    together = [*events, events[:5], batch]
    return [json.dumps(document, separators=(",", ":")).encode() for document in together]


# --- Bytes -----------------------------------------------------------------------------------------------------------

PIECES = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\x1e", b"\n", b"\\ud800",
    b"\\u0000", b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"1.5e-400", b"null", b"true", b"[" * 300,
    b'{"a":' * 300, b'"events":[]',
)  # fmt: skip


def replaced(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut_out(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 40) :]


def cut_off(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def inserted(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 50)) + data[at:]


def repeated(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    part = data[start : start + rng.randint(1, 60)]
    return data[:start] + part * rng.choice((2, 3, 100)) + data[start:]


def joined(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))] + data[rng.randrange(len(data)) :]


# --- JSON values -----------------------------------------------------------------------------------------------------


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for number in range(levels):
        value = [value] if number % 2 else {"k": value}
    return value


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e300, 1 << 62, 1 << 64, T0, T0 / 1000, float(T0), str(T0), "", " ", "x",
    "null", "\x00", "\N{GRINNING FACE}", "\u202e", "y" * 60_000, [], {}, [[]], [{}], [None], {"": ""}, {"id": None},
    {"type": [], "id": {}}, deep(20), deep(63), deep(65), deep(300), ["x"] * 1000, [1, "x", None, {}], "START",
    "session", "2026-11-20T06:00:00Z",
)  # fmt: skip


KEYS = ("eid", "events", "edata", "type", "id", "x", "", "\ud800")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each place inside ``value`` as the object or array that has it, and its key or index."""
    found: list[tuple[Any, Any]] = []
    todo: list[Any] = [value]
    while todo:
        holder: Any = todo.pop()
        if is_object(holder):
            found.extend((holder, key) for key in holder)
            todo.extend(holder.values())
        elif is_array(holder):
            found.extend((holder, index) for index in range(len(holder)))
            todo.extend(holder)
    return found


def revalued(rng: Random, data: bytes) -> bytes:
    """Put other values into some places: any value, one from elsewhere in the event, or none."""
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found = places(value)
        if not found:
            break
        holder, key = rng.choice(found)
        way = rng.randrange(6)
        if way == 0 and is_object(holder):
            del holder[key]
        elif way == 1:
            other, place = rng.choice(found)
            holder[key] = copy.deepcopy(other[place])
        elif way == 2 and is_object(holder):
            holder[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    if rng.random() < 0.1:
        value = rng.choice(([value] * 3, {"events": [value, value]}, [[value]], {"events": {"events": [value]}}))
    return json.dumps(value, separators=(",", ":")).encode()


def retimed(rng: Random, data: bytes) -> bytes:
    """Move an event in time, to another device or another content, so that flows meet that were not made to."""
    value = json.loads(data)
    if is_object(value) and "context" in value:
        value["ets"] = T0 + rng.choice((0, 1, 1000, 60_000, 1_800_001, 90_000_000)) * rng.randint(0, 5)
        value["context"]["did"] = rng.choice(("d1", "d2", "", MOBILE.did))
        value["context"]["sid"] = rng.choice(("s1", PORTAL.sid, ""))
        value["object"] = content(rng.choice(("do_1", "do_2", "")))
        if rng.random() < 0.8:
            value["mid"] = f"m{rng.randrange(10_000)}"
    return json.dumps(value, separators=(",", ":")).encode()


# Events that can be read are worth more than text that cannot: they reach the flows.
MUTATIONS: tuple[Mutation, ...] = (
    replaced, cut_out, cut_off, inserted, repeated, joined, *[revalued] * 4, *[retimed] * 4,
)  # fmt: skip


# --- The run ---------------------------------------------------------------------------------------------------------


class Trial:
    """One bridge with drawn options, and what it was fed."""

    def __init__(self, seed: str) -> None:
        """Draw the options from ``seed``."""
        self.seed = seed
        self.rng = random.Random(seed)
        self.inputs: list[bytes] = []
        options: dict[str, Any] = {
            "policy": self.rng.choice(POLICIES),
            "lateness": self.rng.choice((None, None, None, 0, 3600 * SECOND)),
            "memory": self.rng.choice((2_000, 50_000, 1 << 30, 1 << 30)),
            "max_open_flows": self.rng.choice((1, 4, 1_000_000)),
            "trace_scope": self.rng.choice(("session", "run")),
        }
        self.by_line = self.rng.random() < BY_LINE
        self.live = options["lateness"] is not None
        findings: list[Finding] = []
        self.bridge = Bridge(rules=standard(), limits=LIMITS, on_finding=findings.append, **options)
        self.done = Run([], self.bridge.tally, findings)

    def feed(self, data: bytes) -> None:
        """Feed one input, and look at everything that it changed."""
        begun = time.perf_counter()
        line = data.strip()
        if self.by_line and is_whole(line) and not LINE_ENDS.search(line):
            lines = Lines("fuzz", len(self.inputs), [line])
            self.inputs += [item.data for item in documents(lines, LIMITS) if isinstance(item, Document)]
            self.done.signals.extend(self.bridge.feed_lines(lines))
        else:
            self.inputs.append(data)
            self.done.signals.extend(self.bridge.feed(data))
        if self.live and len(self.inputs) % 50 == 0:
            self.done.signals.extend(self.bridge.advance((T0 + len(self.inputs) * 1000) * 1_000_000))
        seconds = time.perf_counter() - begun
        assert seconds < SLOWEST_S, f"one input of {len(data)} bytes took {seconds:.1f} s"
        check_balance(self.done.tally)

    def finish(self) -> None:
        """End the input, and look at the whole output."""
        self.done.signals.extend(self.bridge.drain())
        check_balance(self.done.tally)
        check_drained(self.done)
        check_spans(self.done)
        check_found_once(self.done, self.inputs, LIMITS)


def fuzz(inputs: int, seed: int) -> Trial | None:
    """Try ``inputs`` inputs and print what came of them; return the trial that broke, if one did."""
    events_of_all_kinds = seeds()
    codes: Counter[str] = Counter()
    events = signals = tried = 0
    begun = time.perf_counter()
    while tried < inputs:
        trial = Trial(f"{seed}:{tried}")
        try:
            for _ in range(min(INPUTS_A_BRIDGE, inputs - tried)):
                trial.feed(trial.rng.choice(MUTATIONS)(trial.rng, trial.rng.choice(events_of_all_kinds)))
            trial.finish()
        except Exception:  # noqa: BLE001  # whatever it is, it is what we look for
            traceback.print_exc()
            return trial
        tried += len(trial.inputs)
        codes += Counter(finding.code for finding in trial.done.findings)
        events += trial.done.tally.translated
        signals += len(trial.done.signals)
    seconds = time.perf_counter() - begun
    say(f"{tried} inputs in {seconds:.0f} s, {tried / seconds:.0f} inputs/s")
    say(f"{events} events became {signals} signals; findings by code:")
    for code, count in codes.most_common():
        say(f"{count:9} {code}")
    return None


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(description="Feed broken input to the bridge and look whether something breaks.")
    parser.add_argument("--inputs", type=int, default=200_000, help="how many inputs to try (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where the random numbers begin (default: %(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="feed the inputs of a run that broke once more")
    args = parser.parse_args()
    if args.replay is not None:
        saved = json.loads(args.replay.read_text("utf-8"))
        trial = Trial(saved["seed"])
        for data in saved["inputs"]:
            trial.feed(base64.b64decode(data))
        trial.finish()
        say(f"{len(trial.inputs)} inputs, and nothing broke")
        return 0
    broken = fuzz(args.inputs, args.seed)
    if broken is None:
        return 0
    path = Path(f"fuzz-failure-{args.seed}.json")
    inputs = [base64.b64encode(data).decode() for data in broken.inputs]
    path.write_text(json.dumps({"seed": broken.seed, "inputs": inputs}), "utf-8")
    say(f"the last input: {broken.inputs[-1][:500]!r}")
    say(f"All inputs of that bridge are in {path}; feed them again with --replay {path}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
