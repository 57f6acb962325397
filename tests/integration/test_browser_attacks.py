"""A page of some other site, open in a real Chromium on the engine's machine, tries every way a page has to its port.

The browser's own network log says which requests left and what came back. Needs Chromium: on Debian
`apt-get install chromium-headless-shell`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from embedded.clickhouse import EmbeddedClickHouse
from tests.integration.engine_requests import Requests
from tests.support.patience import patient

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
PAGE = Path(__file__).with_name("attack_page.html")
SITE, REBOUND = "attacker.example", "rebound.example"
SENT = {
    *("css", "stylesheet", "script", "image", "image-by-name", "image-rebound", "image-cors", "frame", "frame-rebound"),
    *("object", "embed", "video", "form-get", "form-post", "form-text", "form-multipart", "beacon", "socket", "events"),
    *("fetch", "fetch-no-cors", "fetch-post", "fetch-post-no-cors", "fetch-no-referrer", "fetch-keepalive"),
    *("fetch-rebound", "fetch-token", "xhr"),
}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        BROWSER is None, reason="no Chromium here: on Debian, `apt-get install chromium-headless-shell` brings one"
    ),
]


class Site:
    """The attacker's web server.

    Attributes:
        port: Where it listens.
        reports: What the page says it could read, once it is done.
    """

    def __init__(self, page: bytes) -> None:
        self.reports: list[list[str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(page if self.path == "/" else b"")

            def do_POST(self) -> None:
                site.reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    @contextmanager
    def served(self) -> Iterator[Site]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(patient(10))


def page(port: int, outfile: Path) -> bytes:
    """The page, its attacks aimed: reading statements write a file, writing ones make a table."""
    reads = f"SELECT 1 AS a$$ INTO OUTFILE '{outfile}' TRUNCATE -- $$"
    writes = "CREATE TABLE made_by_a_page (a UInt8) ENGINE = Memory"
    text = PAGE.read_text("utf-8")
    addresses = {"SQL": "127.0.0.1", "POST": "127.0.0.1", "LOCALHOST": "localhost", "REBOUND": REBOUND}
    for mark, host in addresses.items():
        query = "" if mark == "POST" else f"&query={quote(reads)}"
        while (at := text.find(f"{mark}(")) >= 0:
            name, _, rest = text[at + len(mark) + 1 :].partition(")")
            text = f"{text[:at]}http://{host}:{port}/?query_id={name}{query}{rest}"
    return text.replace("ENGINE", str(port)).replace("STATEMENT", reads).replace("WRITE", writes).encode()


def browse(address: str, folder: Path) -> dict[str, set[int]]:
    """Open an address, wait for the page to be done, and give the statuses of each attack by its name."""
    log = folder / "network.json"
    command = [
        *(str(BROWSER), "--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder / 'profile'}"),
        f"--host-resolver-rules=MAP {SITE} 127.0.0.1, MAP {REBOUND} 127.0.0.1",
        "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",  # the engine stands alone
        *(f"--log-net-log={log}", "--net-log-capture-mode=Everything", "--timeout=60000"),
        *("--virtual-time-budget=60000", "--dump-dom", address),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    subprocess.run(
        command, capture_output=True, timeout=patient(120), check=True, env={**os.environ, "HOME": str(folder)}
    )
    return answers_of(json.loads(log.read_text("utf-8")))


def answers_of(log: dict[str, object]) -> dict[str, set[int]]:
    """Status of every answer to an attack, by the attack's name, as the browser's network log tells."""
    constants, events = log["constants"], log["events"]
    assert isinstance(constants, dict)
    assert isinstance(events, list)
    kinds = {number: name for name, number in constants["logEventTypes"].items()}
    names: dict[int, str] = {}
    found: dict[str, set[int]] = {}
    for event in events:
        source, parameters = event["source"]["id"], event.get("params", {})
        if name := parse_qs(urlsplit(parameters.get("url", "")).query).get("query_id"):
            names[source] = name[0]
            found.setdefault(name[0], set())
        if kinds[event["type"]] == "HTTP_TRANSACTION_READ_RESPONSE_HEADERS" and source in names:
            status = parameters["headers"][0] if isinstance(parameters["headers"], list) else parameters["headers"]
            found[names[source]].add(int(status.split(" ")[1]))
    return found


def test_a_page_in_chromium_executes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "written.txt"
    with EmbeddedClickHouse() as engine:
        requests, outfile = Requests(engine), target
        with Site(page(engine.port, outfile)).served() as site:
            statuses = browse(f"http://{SITE}:{site.port}/", tmp_path)
        print(json.dumps({name: sorted(found) for name, found in sorted(statuses.items())}))  # noqa: T201 - the log
        assert statuses.keys() >= SENT
        answered = {name for name, found in statuses.items() if found}
        assert len(answered) >= len(SENT) - 3  # a browser holds some back by itself
        assert all(found <= {403} for found in statuses.values())
        assert site.reports == [[]]
        assert not target.exists()
        assert requests.read("EXISTS TABLE made_by_a_page").body == b"0\n"
        assert requests.read("SELECT count() FROM system.tables WHERE database = 'default'").body == b"0\n"
