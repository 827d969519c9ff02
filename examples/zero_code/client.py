"""A client of Sunbird, reduced to what matters here: one session, with one request to a service.

``python client.py URL`` sends the request with the headers that Sunbird's clients send, and prints the client's own
telemetry, one event a line. It waits up to 30 seconds for the service to come up.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
import uuid

SESSION = str(uuid.uuid4())
DEVICE = "4d7a1f0c9be2386512fd0a77c1e94b83"
CHANNEL = "0126684405014528002"


def event(eid: str, **edata: str) -> str:
    """Return one event of the session, as a line."""
    producer = {"id": "example.client", "ver": "1.0", "pid": "zero-code"}
    context = {"channel": CHANNEL, "pdata": producer, "env": "home", "sid": SESSION, "did": DEVICE}
    return json.dumps(
        {
            "eid": eid,
            "ets": time.time_ns() // 1_000_000,
            "ver": "3.0",
            "mid": f"{eid}:{uuid.uuid4()}",
            "actor": {"id": "anonymous", "type": "User"},
            "context": context,
            "edata": edata,
        }
    )


def read(url: str) -> None:
    """Send the request; the headers are all that joins it to the session."""
    headers = {"X-Session-ID": SESSION, "X-Device-ID": DEVICE, "X-Channel-ID": CHANNEL}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the user's own URL
    for _ in range(300):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                answer.read()
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"nobody answers at {url}; is the service running?")


print(event("START", type="session", pageid="home"))
print(event("INTERACT", type="TOUCH", id="do_31290", pageid="home"))
read(sys.argv[1])
print(event("END", type="session", pageid="home"))
