"""Write the dashboards, dashboards/*.json: ``make docs``.

They are for Grafana 11.6 and newer, with the data sources ``tempo`` and ``prometheus`` (their uids). With ``--check``
nothing is written; the exit code is 1 when a file is not what it would be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from boards.flows import flows
from boards.health import health
from boards.learning import learning
from boards.services import services
from grafana_foundation_sdk.cog.encoder import JSONEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Write or check the dashboards; return the exit code."""
    check = "--check" in arguments
    folder = Path(__file__).parent / "dashboards"
    stale: list[str] = []
    for name, text in dashboards().items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        where = f"collector_config/grafana/dashboards/{name}"
        print(f"{where} is stale; run make docs" if check else f"{where} written")
    return 1 if check and stale else 0


def dashboards() -> dict[str, str]:
    """Return the JSON of each dashboard by its file name."""
    built = {
        "flows.json": flows(),
        "learning.json": learning(),
        "services.json": services(),
        "health.json": health(),
    }
    return {name: json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n" for name, board in built.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
