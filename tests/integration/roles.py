"""The roles that read, on real servers, each with its pages."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from obflow.settings import Settings
from tests.integration.processing import workers
from tests.integration.sinking import Sink
from tests.support.patience import patient

ROLES = ("producer", "processor", "regimes", "sink")


class Page(NamedTuple):
    """An answer of a role's page; nobody listening is status 0."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def unmet(self) -> dict[str, str]:
        """Why each condition does not hold, of those that do not."""
        return {told["condition"]: told["why"] for told in self.json["conditions"] if not told["holds"]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def page(port: int, path: str) -> Page:
    """Ask for a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=patient(5)) as answer:
            return Page(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Page(error.code, error.read().decode())
    except OSError:
        return Page(0, "")


@contextmanager
def readers(settings: Settings, folder: Path) -> Iterator[Mapping[str, int]]:
    """A processor, a regime worker and a sink as processes; the ports of their pages, by role."""
    ports = {role: free_port() for role in ROLES[1:]}
    with ExitStack() as stack:
        for role, command in (("processor", "process"), ("regimes", "regimes")):
            start = stack.enter_context(workers(settings, folder, command))
            start(OBFLOW_METRICS__PORT=str(ports[role]))
        stack.enter_context(Sink(settings, folder / "sink.log", "--metrics-port", str(ports["sink"])))
        yield ports
