"""Run obflow's commands and keep every byte they print, on both streams, to a pipe or to a terminal."""

from __future__ import annotations

import io
import logging
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import structlog

from obflow import cli
from tests.support.patience import patient

PATIENCE_S = 240.0
PLAIN = {"TERM": "xterm", "COLUMNS": "120"}
COLOUR = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def print_here(*words: str, terminal: bool = False, **variables: str) -> bytes:
    """Run a command that ends by itself, in this process; what it printed."""
    with _sink(terminal) as (writing, found), pytest.MonkeyPatch.context() as patch, _logging_kept():
        for name in COLOUR:
            patch.delenv(name, raising=False)
        for name, value in {**PLAIN, **variables}.items():
            patch.setenv(name, value)
        stream = io.TextIOWrapper(io.FileIO(writing, "w", closefd=False), encoding="utf-8", write_through=True)
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        cli.main(words)
        stream.flush()
    return bytes(found)


def print_until(
    *words: str, until: Callable[[bytes], bool] | None = None, terminal: bool = False, **variables: str
) -> bytes:
    """Run a command as a process, stopped once the condition holds of what it printed; what it printed to its end."""
    environment = {name: value for name, value in os.environ.items() if name not in COLOUR}
    with _sink(terminal) as (writing, found):
        process = subprocess.Popen(
            [sys.executable, "-m", "obflow", *words],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            env={**environment, **PLAIN, **variables},
        )
        try:
            _wait(process, found, until)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(patient(10))
    return bytes(found)


@contextmanager
def _sink(terminal: bool) -> Iterator[tuple[int, bytearray]]:
    """A descriptor to write to, and what was written, whole once the block is left."""
    reading, writing = pty.openpty() if terminal else os.pipe()
    found = bytearray()
    reader = threading.Thread(target=_read_all, args=(reading, found))
    reader.start()
    try:
        yield writing, found
    finally:
        os.close(writing)
        reader.join(patient(10))
        os.close(reading)


def _read_all(descriptor: int, found: bytearray) -> None:
    try:
        while some := os.read(descriptor, 65_536):
            found += some
    except OSError:  # a terminal nobody writes to any more
        return


def _wait(process: subprocess.Popen[bytes], found: bytearray, until: Callable[[bytes], bool] | None) -> None:
    deadline = time.monotonic() + patient(PATIENCE_S)
    asked = False
    while process.poll() is None:
        assert time.monotonic() < deadline, bytes(found[-2000:])
        if until is not None and not asked and until(bytes(found)):
            process.send_signal(signal.SIGTERM)
            asked = True
        time.sleep(0.05)
    assert until is None or asked, bytes(found[-2000:])


@contextmanager
def _logging_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        structlog.reset_defaults()
