"""HTTP as a client: what everything that posts needs, whatever it carries and to whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import InvalidHeader

from sunbird_otel.sinks._text import one_line

if TYPE_CHECKING:
    import ssl

# What urllib3 puts before the reason; the address stands in the message around it.
_POOL = re.compile(r"^HTTPS?Connection(Pool)?\([^)]*\): ")


def connections(url: str, *, timeout: float, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    """Return a pool for one address that neither retries nor waits longer than ``timeout`` seconds.

    The proxies of the environment (``HTTPS_PROXY``, ``NO_PROXY`` ...) are used.
    """
    options: dict[str, Any] = {
        "maxsize": 1,
        "retries": False,
        "timeout": urllib3.Timeout(total=timeout),
        "ssl_context": context,
    }
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return how many seconds the receiver asks to wait, if it does in a way that can be understood."""
    try:
        return urllib3.Retry().get_retry_after(response)
    except InvalidHeader:
        return None


def why(error: Exception) -> str:
    """Return the reason in a failure of urllib3, without what only urllib3 understands."""
    return one_line(_POOL.sub("", str(error))) or type(error).__name__
