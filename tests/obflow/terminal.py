"""A terminal that remembers what was drawn on it."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Terminal:
    """The other end of a pseudo-terminal."""

    def __init__(self, reading: int) -> None:
        self._reading = reading
        os.set_blocking(reading, False)

    def drawn(self) -> str:
        """Everything written since the last look."""
        found = b""
        while True:
            try:
                found += os.read(self._reading, 65_536)
            except BlockingIOError:
                return found.decode("utf-8", "replace")


@contextmanager
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Let standard error be a terminal, 100 columns wide; inside the test, since pytest sets it anew for each phase."""
    reading, writing = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with os.fdopen(writing, "w", encoding="utf-8") as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        yield Terminal(reading)
    os.close(reading)
