"""The pages of a role: `/metrics` for Prometheus, `/live` and `/ready` for whoever starts and stops processes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from obflow.health import Health

Start = Callable[..., object]
Page = Callable[[dict[str, Any], Start], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request, so that a slow reader of one page keeps nobody from another."""

    daemon_threads = True


class _ServerIPv6(_Server):
    """The same on an address with colons."""

    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    """Logs nothing: these pages are asked for every few seconds."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of a request."""


@contextmanager
def serving(registry: CollectorRegistry, health: Health, host: str, port: int) -> Iterator[None]:
    """Serve the pages while the block runs.

    Args:
        registry: What `/metrics` shows.
        health: What `/live` and `/ready` tell.
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        OSError, OverflowError: The address cannot be listened on.
    """
    kind = _ServerIPv6 if ":" in host else _Server
    server = make_server(host, port, _pages(registry, health), kind, handler_class=_Silent)
    thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _pages(registry: CollectorRegistry, health: Health) -> Page:
    metrics: Page = make_wsgi_app(registry)
    told = {"/live": health.live, "/ready": health.ready}

    def answer(request: dict[str, Any], start: Start) -> Iterable[bytes]:
        tell = told.get(request["PATH_INFO"])
        return metrics(request, start) if tell is None else _tell(tell, start)

    return answer


def _tell(tell: Callable[[], tuple[bool, dict[str, Any]]], start: Start) -> Iterable[bytes]:
    holds, body = tell()
    start("200 OK" if holds else "503 Service Unavailable", [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]
