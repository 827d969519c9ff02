"""Write docs/queries.md from the recipes in docs/queries.toml: ``make docs``.

With ``--check`` nothing is written; the exit code is 1 when the page is not what it would be.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER: Final = Path(__file__).parent
_INTRODUCTION: Final = """\
<!-- generated from queries.toml; do not edit; make docs -->

# Queries

Questions about Sunbird telemetry, as a TraceQL query for Grafana Tempo and as a search for Jaeger that finds the same.
The names are explained in [attributes.md](attributes.md).

- **Tempo**: in Grafana, choose *Explore*, the Tempo data source, *TraceQL*, and paste the query. `span.` is an
  attribute of the flow, `event.` one of an event inside it, which is found whichever event of the span has it.
- **Jaeger**: on the page *Search*, fill in the fields that the table names. Jaeger wants a service: put the `pdata.id`
  of your own producer in its place. Where there are several rows, each is a search of its own. Jaeger shows the traces
  in which a span fits.

The ids and names in the queries (`do_hard`, `staging.sunbird.app`) are those of the telemetry with which the tests try
them: each Jaeger search runs in a Jaeger there, and finds those traces and no other. Each TraceQL query is parsed with
Grafana's own grammar (`@grafana/lezer-traceql` 1.0.0) and answered by a model of TraceQL in the tests, on the same
telemetry. Tempo itself has not been run.

`>>` (*holds*) looks at the part of a trace that Tempo has stored together. A flow that ends hours after what was inside
it can arrive apart from it, and may then not be found this way.
"""


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; return the exit code."""
    check = "--check" in arguments
    path, text = FOLDER / "queries.md", page(recipes())
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    if check:
        print("docs/queries.md is stale; run make docs")
        return 1
    path.write_text(text, encoding="utf-8")
    print("docs/queries.md written")
    return 0


def recipes() -> list[dict[str, Any]]:
    """Return the recipes as they stand in queries.toml."""
    with (FOLDER / "queries.toml").open("rb") as file:
        rows: list[dict[str, Any]] = tomllib.load(file)["recipe"]
    return rows


def page(rows: list[dict[str, Any]]) -> str:
    """Return the text of docs/queries.md."""
    parts = [_INTRODUCTION]
    for group, members in groupby(rows, key=lambda row: str(row["group"])):
        parts.append(f"## {group}\n")
        parts += ["\n".join(_recipe(row)) + "\n" for row in members]
    return "\n".join(parts)


def _recipe(row: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {row['question']}", "", "```traceql", row["traceql"], "```")
    if note := row.get("note"):
        yield from ("", note)
    if instead := row.get("instead"):
        yield from ("", instead)
        return
    table = [
        {
            "service": search["service"],
            "operation": search.get("operation", ""),
            "tags": logfmt(search.get("tags", {})),
            "min duration": search.get("min_duration", ""),
            "max duration": search.get("max_duration", ""),
        }
        for search in row["jaeger"]
    ]
    used = [name for name in table[0] if any(line[name] for line in table)]
    yield from ("", f"| Jaeger: {' | '.join(used)} |", f"|{'---|' * len(used)}")
    for line in table:
        yield f"| {' | '.join(f'`{line[name]}`' if line[name] else '' for name in used)} |"


def logfmt(tags: dict[str, str]) -> str:
    """Return tags as Jaeger's search form takes them."""
    plain = {key: value if re.fullmatch(r"[\w.-]+", value) else json.dumps(value) for key, value in tags.items()}
    return " ".join(f"{key}={value}" for key, value in plain.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
