"""A service on Starlette, as anybody would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn
from listening import listening_socket
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request


async def read(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["content_id"]})


app = Starlette(routes=[Route("/content/{content_id}", read)])

if __name__ == "__main__":
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening_socket()])
