"""A service on FastAPI that tells of plays, with its requests told as Sunbird events."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI, Request
from listening import listening_socket
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from services.wired import play

app = FastAPI()


@app.get("/play/{content_id}")
async def play_content(content_id: str, request: Request) -> dict[str, str]:
    play(request.headers, content_id)
    return {"id": content_id}


@app.get("/blocking/{content_id}")
def play_blocking(content_id: str, request: Request) -> dict[str, str]:
    play(request.headers, content_id)
    return {"id": content_id}


@app.get("/fail/{content_id}")
async def fail(content_id: str) -> None:
    raise LookupError(content_id)


if __name__ == "__main__":
    FastAPIInstrumentor.instrument_app(app)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening_socket()])
