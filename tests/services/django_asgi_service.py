"""The service of ``django_service.py`` as an ASGI application, with a view that is a coroutine and one that is none."""

from __future__ import annotations

from typing import Any

import uvicorn
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.http import JsonResponse  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.urls import path  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from listening import listening_socket
from services.django_service import ALLOWED_HOSTS, MIDDLEWARE, SECRET_KEY, read

__all__ = ["ALLOWED_HOSTS", "MIDDLEWARE", "SECRET_KEY"]

ROOT_URLCONF = "django_asgi_service"


async def read_async(request: Any, content_id: str) -> Any:
    return JsonResponse({"id": content_id})


urlpatterns = [path("content/<str:content_id>", read_async), path("blocking/<str:content_id>", read)]

if __name__ == "__main__":
    application: Any = get_asgi_application()
    uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="warning")).run([listening_socket()])
