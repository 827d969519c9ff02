"""A service on Django, as anybody would write it, but for its settings and routes, which stand here as well."""

from __future__ import annotations

from typing import Any
from wsgiref.simple_server import make_server

from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.http import JsonResponse  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from django.urls import path  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from listening import announce

SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "django_service"


def read(request: Any, content_id: str) -> Any:
    return JsonResponse({"id": content_id})


urlpatterns = [path("content/<str:content_id>", read)]

if __name__ == "__main__":
    application: Any = get_wsgi_application()
    server = make_server("127.0.0.1", 0, application)
    announce(server.server_port)
    server.serve_forever()
