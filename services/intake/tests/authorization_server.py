"""An authorization server on loopback: a token endpoint (RFC 6749) and what IMAP servers ask it (RFC 7662)."""

import base64
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from services.intake.tests.mailroom import SUPPORT

CLIENT, SECRET = "opora", "a-secret+of/the tests"


class AuthorizationServer:
    """Gives tokens for one user at a time; whoever refreshes gets a new refresh token, and the old one is of no use."""

    def __init__(self) -> None:
        self.user = ""
        self.expires_in: Any = 3600
        self.access: dict[str, str] = {}
        """Whose each access token is that still is good."""
        self.refresh: set[str] = set()
        """The refresh tokens that are taken."""
        self.asked: list[dict[str, str]] = []
        self.instead: Callable[[], tuple[int, bytes]] | None = None
        """What the token endpoint answers instead, where a test wants it."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                form = dict(parse_qsl(self.rfile.read(length).decode()))
                answers = {"/token": server.token, "/introspect": server.introspection}
                status, content = answers[self.path](form, self.headers.get("authorization", ""))
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                if 300 <= status < 400:
                    self.send_header("location", f"{server.url}/token")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                """Keep the test's output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def consent(self) -> str:
        """Somebody consents: a refresh token."""
        token = f"refresh-{secrets.token_hex(8)}"
        self.refresh.add(token)
        return token

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, bytes]:
        """The token endpoint."""
        self.asked.append(form)
        if self.instead is not None:
            return self.instead()
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization != basic and (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return 401, json.dumps({"error": "invalid_client"}).encode()
        answer = {"token_type": "Bearer", "expires_in": self.expires_in}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.refresh:
                return 400, json.dumps({"error": "invalid_grant", "error_description": "consent\nagain"}).encode()
            self.refresh.discard(form["refresh_token"])
            answer["refresh_token"] = self.consent()
        access = f"access-{secrets.token_hex(8)}"
        self.access[access] = self.user
        return 200, json.dumps(answer | {"access_token": access}).encode()

    def introspection(self, form: dict[str, str], _authorization: str) -> tuple[int, bytes]:
        """What the IMAP server asks about a token."""
        user = self.access.get(form.get("token", ""))
        told = {"active": True, "username": user, "email": SUPPORT} if user else {"active": False}
        return 200, json.dumps(told).encode()
