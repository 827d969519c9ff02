"""A service on Django that tells of plays, with its requests told as Sunbird events; ``asgi`` says how it is served."""

from __future__ import annotations

import sys
from typing import Any
from wsgiref.simple_server import make_server

import uvicorn
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.http import JsonResponse  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.urls import path  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from listening import announce, listening_socket
from opentelemetry.instrumentation.django import DjangoInstrumentor  # pyright: ignore[reportMissingTypeStubs]

SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "wired_django_service"


async def play_content(request: Any, content_id: str) -> Any:
    from services.wired import play

    play(request.headers, content_id)
    return JsonResponse({"id": content_id})


def play_blocking(request: Any, content_id: str) -> Any:
    from services.wired import play

    play(request.headers, content_id)
    return JsonResponse({"id": content_id})


async def fail(request: Any, content_id: str) -> Any:
    raise LookupError(content_id)


urlpatterns = [
    path("play/<str:content_id>", play_content),
    path("blocking/<str:content_id>", play_blocking),
    path("fail/<str:content_id>", fail),
]

if __name__ == "__main__":
    from services.wired import tracing  # first the plugin, then Django

    DjangoInstrumentor().instrument(tracer_provider=tracing)
    if "asgi" in sys.argv:
        served: Any = get_asgi_application()
        uvicorn.Server(uvicorn.Config(served, lifespan="off", log_level="warning")).run([listening_socket()])
    else:
        application: Any = get_wsgi_application()
        server = make_server("127.0.0.1", 0, application)
        announce(server.server_port)
        server.serve_forever()
