"""One record of settings, from the command line, the environment and a configuration file, in this order of weight.

Each setting has one key, that of its option without the dashes: ``--idle-gap``, ``SUNBIRD_OTEL_IDLE_GAP`` and
``idle-gap`` in the file are the same setting.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from sunbird_otel._limits import Limits
from sunbird_otel.cli import _quantities as quantities
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

PREFIX: Final = "SUNBIRD_OTEL_"
"""What the environment variables begin with."""

POLICIES: Final = ("annotate", "repair", "reject")
TRACE_SCOPES: Final = ("session", "run")
PROTOCOLS: Final = ("http/protobuf", "http/json", "grpc")
ALL: Final = "all"
"""The lateness that puts the whole input in order."""

STDIO: Final = "-"
"""The file name that means the standard input or output."""

_OF_REPLAY: Final = frozenset({"follow", "pending", "pending_after"})
"""What another command must not find in the environment or the file: it would never end."""

_LIVE_LATENESS_NS: Final = 10 * 10**9

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})
_SHOWN_CHARS: Final = 80
_COMMAND_LINE: Final = 3
"""What the command line weighs; the environment and the file weigh less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a run. Times are nanoseconds, sizes bytes; a lateness of None is :data:`ALL`.

    An idle gap of None is what the rules say; an endpoint or protocol of None is what the ``OTEL_EXPORTER_OTLP_*``
    variables say.
    """

    rules: tuple[str, ...] = ()
    policy: str = "annotate"
    lateness: int | None = None
    idle_gap: int | None = None
    trace_scope: str = "session"
    memory: int = 1 << 30
    max_open_flows: int = 1_000_000
    max: Limits = Limits()
    workers: int = 1
    output: str | None = None
    endpoint: str | None = None
    protocol: str | None = None
    dead_letter: str | None = None
    undelivered: str | None = None
    retry_for: int = 60 * 10**9
    report: str | None = None
    follow: bool = False
    pending: bool = False
    pending_after: int = 10 * 10**9
    quiet: bool = False


class Given(NamedTuple):
    """A value that somebody gave: as it came, where it stood (for messages), and how much that place weighs."""

    value: object
    where: str
    weight: int


class Wrong(ValueError):  # noqa: N818 - never seen outside, and reads as it is meant
    """A value cannot be used; the text is what was expected instead."""


def read_settings(options: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings; the command line weighs more than the environment, and this more than the file.

    Args:
        options: What the command line gave, by field of :class:`Settings`; None, an empty list and False are not
            given. ``config`` names the configuration file. Other keys belong to the command alone.
        environ: The environment; an empty variable is not given.

    Raises:
        ConfigError: A value cannot be used; the text says which, where it stood, and what was expected.
    """
    config = _choose("config", options, environ, {})
    file = _read_file(config) if config else {}
    given = {
        field.name: found
        for field in fields(Settings)
        if (field.name in options or field.name not in _OF_REPLAY)
        and (found := _choose(field.name, options, environ, file)) is not None
    }
    _settle_destination(given)
    return _live(Settings(**{name: _parsed(found, _PARSERS[name]) for name, found in given.items()}), given)


def _choose(
    name: str, options: Mapping[str, Any], environ: Mapping[str, str], file: Mapping[str, Given]
) -> Given | None:
    key = name.replace("_", "-")
    option = options.get(name)
    # Compared by identity: a count of 0 is given, and wrong.
    if option is not None and option is not False and option != []:
        return Given(option, f"--{key}", _COMMAND_LINE)
    variable = f"{PREFIX}{name.upper()}"
    if text := environ.get(variable):
        return Given(text, f"the environment variable {variable}", 2)
    return file.get(name)


def _read_file(config: Given) -> dict[str, Given]:
    path = Path(_parsed(config, _text))
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{config.where}: {path} could not be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{config.where}: {path} is not a text in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config.where}: {path} is not valid TOML: {error}.") from None
    known = {field.name for field in fields(Settings)}
    found: dict[str, Given] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            keys = sorted(each.replace("_", "-") for each in known)
            raise ConfigError(f"{path}: there is no setting {key!r}; {_advice(key.replace('_', '-'), keys)}")
        if name in found:
            raise ConfigError(f"{path}: {key!r} is there twice, once with - and once with _; keep one.")
        found[name] = Given(value, f"{path}: {key}", 1)
    return found


def _settle_destination(given: dict[str, Given]) -> None:
    """Let a directory and a receiver exclude each other: what weighs more is meant."""
    output = given.get("output")
    for name in ("endpoint", "protocol", "undelivered", "retry_for"):
        other = given.get(name)
        if output is None or other is None:
            continue
        if output.weight == other.weight:
            raise ConfigError(
                f"{output.where} writes files and {other.where} is for a receiver; give one of them, "
                "and run twice if you want both."
            )
        if output.weight > other.weight:
            del given[name]
        else:
            del given["output"]
            output = None


def _live(settings: Settings, given: Mapping[str, Given]) -> Settings:
    """Fill in what following a file needs, and refuse what makes no sense with it or without."""
    after = given.get("pending_after")
    # In the environment or the file it may wait for a run that shows such flows.
    if after is not None and after.weight == _COMMAND_LINE and not settings.pending:
        raise ConfigError(f"{after.where}: only a run with --pending shows flows that are still open; give it, too.")
    if not settings.follow:
        if settings.pending:
            raise ConfigError(
                f"{given['pending'].where}: only a run that follows its input can show flows that are still open; "
                "give --follow, too."
            )
        return settings
    if settings.workers > 1:
        raise ConfigError(
            f"{given['workers'].where}: expected 1 together with --follow, whose events are shown as they come; found "
            f"{settings.workers}."
        )
    if settings.pending and settings.policy == "reject":
        raise ConfigError(
            f"{given['pending'].where}: under the policy reject a flow that is open may yet be kept from the output, "
            "so that it cannot be shown; choose annotate or repair."
        )
    if "lateness" not in given:
        return replace(settings, lateness=_LIVE_LATENESS_NS)
    if settings.lateness is None:
        raise ConfigError(
            f"{given['lateness'].where}: expected a duration together with --follow, since all waits for the end of "
            f"the input; found {ALL!r}."
        )
    return settings


def _parsed(found: Given, parse: Callable[[object], T]) -> T:
    try:
        return parse(found.value)
    except Wrong as wrong:
        raise ConfigError(f"{found.where}: expected {wrong}; found {_shown(found.value)}.") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise Wrong("a text that is not empty")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list):
        raise Wrong("a list of texts")
    return tuple(_text(part) for part in cast("list[object]", value))


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _YES | _NO:
        raise Wrong("true or false")
    return word in _YES


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise Wrong(f"{', '.join(choices[:-1])} or {choices[-1]}")
        return str(value)

    return parse


def _quantity(read: Callable[[str], int], expected: str) -> Callable[[object], int]:
    def parse(value: object) -> int:
        # A number in the file is as good as its text; true and false are no numbers.
        text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        try:
            return read(text)
        except ValueError:
            raise Wrong(expected) from None

    return parse


_duration = _quantity(quantities.duration_ns, quantities.DURATION)


def _lateness(value: object) -> int | None:
    if value == ALL:
        return None
    try:
        return _duration(value)
    except Wrong as wrong:
        raise Wrong(f"{ALL}, or {wrong}") from None


def _idle_gap(value: object) -> int:
    if gap := _duration(value):
        return gap
    raise Wrong(f"more than nothing: {quantities.DURATION}")


def _limits(value: object) -> Limits:
    names = [field.name for field in fields(Limits)]
    table = cast("dict[str, object]", value) if isinstance(value, dict) else dict(_pair(text) for text in _texts(value))
    if unknown := next((name for name in table if name not in names), ""):
        raise Wrong(f"LIMIT=VALUE with one of the limits {', '.join(names)}, not {unknown}")
    return Limits(
        **{name: _quantity(quantities.size_bytes, f"{name}={quantities.SIZE}")(bound) for name, bound in table.items()}
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, bound = text.partition("=")
    if not equals:
        raise Wrong("LIMIT=VALUE, such as event_bytes=4MiB")
    return name.strip(), bound.strip()


_PARSERS: Final[dict[str, Callable[[object], Any]]] = {
    "rules": _texts,
    "policy": _one_of(*POLICIES),
    "lateness": _lateness,
    "idle_gap": _idle_gap,
    "trace_scope": _one_of(*TRACE_SCOPES),
    "memory": _quantity(quantities.size_bytes, quantities.SIZE),
    "max_open_flows": _quantity(quantities.count, quantities.COUNT),
    "max": _limits,
    "workers": _quantity(quantities.count, quantities.COUNT),
    "output": _text,
    "endpoint": _text,
    "protocol": _one_of(*PROTOCOLS),
    "dead_letter": _text,
    "undelivered": _text,
    "retry_for": _duration,
    "report": _text,
    "follow": _flag,
    "pending": _flag,
    "pending_after": _duration,
    "quiet": _flag,
}


def _advice(word: str, known: list[str]) -> str:
    if near := get_close_matches(word, known, n=1):
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}."


def _shown(value: object) -> str:
    parts = cast("list[object]", value) if isinstance(value, list) else [value]
    text = repr(parts[0] if len(parts) == 1 else parts)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
