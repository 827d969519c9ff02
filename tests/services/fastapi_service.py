"""A service on FastAPI, as anybody would write it."""

from __future__ import annotations

import httpx
import requests
import uvicorn
from fastapi import FastAPI
from listening import listening_socket

app = FastAPI()


@app.get("/content/{content_id}")
async def read(content_id: str) -> dict[str, str]:
    return {"id": content_id}


@app.get("/by-requests/{content_id}")
def by_requests(content_id: str, url: str) -> dict[str, str]:
    requests.get(url, timeout=10)
    return {"id": content_id}


@app.get("/by-httpx/{content_id}")
async def by_httpx(content_id: str, url: str) -> dict[str, str]:
    async with httpx.AsyncClient() as client:
        await client.get(url, headers={"X-Request-ID": "of-the-service"})
    return {"id": content_id}


if __name__ == "__main__":
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening_socket()])
