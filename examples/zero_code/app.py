"""A content service that knows nothing of telemetry: docs/plugin-zero-code.md starts it as it is.

Run it with ``python app.py``; the variable ``PORT`` moves it away from port 8000.
"""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI, HTTPException

CONTENTS = {"do_31290": "Plants and light", "do_31291": "How seeds travel"}

app = FastAPI()


@app.get("/content/{content_id}")
def read(content_id: str) -> dict[str, str]:
    """Return one content."""
    if content_id not in CONTENTS:
        raise HTTPException(404, f"there is no content {content_id}")
    return {"identifier": content_id, "name": CONTENTS[content_id]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
