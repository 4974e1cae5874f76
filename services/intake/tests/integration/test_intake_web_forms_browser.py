"""Web forms in a real browser: the page without any script, and a site's script that sends by CORS."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.intake.tests.mailroom import someone
from tests.programs import browser, rendered

pytestmark = pytest.mark.asyncio(loop_scope="session")
_SCRIPT = """<!doctype html><meta charset="utf-8"><title>A site</title><p id="said">nothing</p><script>
const say = (text) => { document.getElementById("said").textContent = text; };
(async () => {
  try {
    const described = await (await fetch("%(form)s")).json();
    const sent = Object.assign(%(sent)s, {token: described.token});
    const answer = await fetch("%(form)s", {method: "POST", headers: {"content-type": "application/json"},
      body: JSON.stringify(sent)});
    say(answer.status + " " + JSON.stringify(await answer.json()));
  } catch (error) { say("refused by the browser"); }
})();
</script>"""
_SENDING = """<!doctype html><meta charset="utf-8"><title>A person</title>
<form method="post" action="%(page)s" accept-charset="utf-8">
<input name="token" value="%(token)s"><input name="email" value="%(email)s"><input name="subject" value="Принтер">
<textarea name="message">Не печатает.</textarea></form><script>document.forms[0].submit();</script>"""


class Site:
    """A web site of somebody else, on a port and so an origin of its own."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = site.pages.get(self.path, "").encode()
                self.send_response(200 if content else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                """Keep the test's output quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site of this test's own."""
    served = Site()
    yield served
    served.close()


async def made(desk: Any, **rules: Any) -> str:
    """A form of the test's own; its name."""
    name = f"form-{uuid4().hex[:12]}"
    await desk.post("/web-forms", {"name": name, "title": "Write to us", "minimum_seconds": 0, **rules}, status=201)
    return name


async def test_the_page_is_filled_in_and_sent_without_script(desk: Any, site: Site, tmp_path: Path) -> None:
    """The page holds no script; each field has its label, and what is sent leads to the page with the number."""
    browser()
    base = str(desk.client.base_url).rstrip("/")
    name = await made(desk, language="ru", title="Написать нам")
    document = await rendered(f"{base}/forms/{name}", tmp_path / "one")
    assert '<html lang="ru">' in document
    assert "<script" not in document
    for field in ("email", "name", "subject", "message"):
        assert f'<label for="{field}">' in document
        assert f'id="{field}"' in document
    token = document.partition('name="token" value="')[2].partition('"')[0]
    address = someone()
    site.pages["/"] = _SENDING % {"page": f"{base}/forms/{name}", "token": token, "email": address}
    answered = await rendered(f"{site.origin}/", tmp_path / "two")
    row = await desk.database.fetchrow(
        "select number, title from tickets join customers on customers.id = requester_id where email = $1", address
    )
    assert row is not None, answered
    assert row["title"] == "Принтер"
    assert f"<strong>OP-{row['number']}</strong>" in answered


async def test_a_named_sites_script_sends_and_no_other_ones_does(desk: Any, site: Site, tmp_path: Path) -> None:
    """The browser itself asks before, sends, and shows the answer to the site that the form names, and to no other."""
    browser()
    base = str(desk.client.base_url).rstrip("/")
    for number, (origins, expected) in enumerate([([site.origin], "201 "), ([], "refused by the browser")]):
        name, address = await made(desk, origins=origins), someone()
        sent = json.dumps({"email": address, "subject": "Printer", "message": "It prints nothing."})
        site.pages[f"/{number}"] = _SCRIPT % {"form": f"{base}/v1/forms/{name}", "sent": sent}
        document = await rendered(f"{site.origin}/{number}", tmp_path / str(number))
        said = document.partition('<p id="said">')[2].partition("</p>")[0]
        assert said.startswith(expected), document
        opened = await desk.database.fetchval(
            "select count(*) from tickets join customers on customers.id = requester_id where email = $1", address
        )
        assert opened == len(origins)
