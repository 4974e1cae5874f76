"""A platform that answers what a test wrote down: HTTP only, described as a running one is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opora_cli.endpoints import Endpoints, ServiceEndpoint


@contextmanager
def answering(answers: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The text of OPORA_ENDPOINTS, and every path that was asked for.

    `answers` are by path with its query; a path of which none is known is answered with 404.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers.get(self.path)
            body = json.dumps({"detail": f"There is no {self.path}."} if answer is None else answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        one = ServiceEndpoint(url=url, database_dsn="postgresql://nowhere", processes=())
        endpoints = Endpoints(kafka_bootstrap="127.0.0.1:1", services={"intake": one, "sla": one}, smtp="127.0.0.1:1")
        yield endpoints.model_dump_json(), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
