"""A service on Flask, as anybody would write it."""

from __future__ import annotations

from flask import Flask
from listening import announce
from werkzeug.serving import make_server

app = Flask(__name__)


@app.get("/content/<content_id>")
def read(content_id: str) -> dict[str, str]:
    return {"id": content_id}


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    announce(server.port)
    server.serve_forever()
