"""Run until told to stop: signals, a deadline on the way out, and going down with the process that started this one.

SIGTERM and SIGINT ask for an orderly end; asked again more than a second later, the process ends at once. What comes
sooner is the first one's echo: `timeout`, make and container engines signal a process and then its whole group. A child
started with `child_environment()` leaves SIGINT to its parent (Ctrl-C reaches the whole process group, but the order in
which roles stop is the parent's to choose) and ends by itself when the parent is gone, however that one died.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

import uvloop

from obflow.terminal import tell
from schemas.errors import EXIT_FAILED, FatalError

PARENT_VARIABLE = "OBFLOW_PARENT"
SHUTDOWN_SECONDS = 10.0
CANCEL_SECONDS = 2.0
ECHO_SECONDS = 1.0
"""A signal within this time of the first one asks for nothing more."""
PARENT_CHECK_SECONDS = 0.5

T = TypeVar("T")
Main = Callable[[asyncio.Event], Coroutine[object, object, T]]


def child_environment() -> dict[str, str]:
    """Variables to start a child with, so that it stops in its parent's order and never outlives it."""
    return {PARENT_VARIABLE: str(os.getpid())}


def run_async(main: Main[T], *, shutdown_seconds: float = SHUTDOWN_SECONDS) -> T:
    """Run `main(stop)` on uvloop until it returns.

    Args:
        main: Does the work, and returns soon after the event it is given is set.
        shutdown_seconds: How long it may take from the first signal until it is cancelled.

    Returns:
        What `main` returned.

    Raises:
        FatalError: It did not end in time and was cancelled.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervise(main, shutdown_seconds))


@contextmanager
def stop_on_signal(*, shutdown_seconds: float = SHUTDOWN_SECONDS) -> Iterator[threading.Event]:
    """Set an event on the first signal, for loops that block outside asyncio.

    The loop checks the event between two bounded waits. If the block is not left `shutdown_seconds` after the first
    signal, or it is asked again, the process ends with exit code 1: every record is on a log that can be read again.
    Call it from the main thread.
    """
    stop = threading.Event()
    left = threading.Event()
    asked = _Asked()

    def ask(signum: int, _frame: object) -> None:
        if asked.again():
            _end_now(f"a second {signal.Signals(signum).name} arrived")
        stop.set()

    def watch() -> None:
        while not stop.wait(PARENT_CHECK_SECONDS):
            if _orphaned():
                stop.set()
        if not left.wait(shutdown_seconds):
            _end_now(f"it did not stop within {shutdown_seconds:.0f} s")

    previous = {signum: signal.signal(signum, ask) for signum in _signals()}
    ignored = None if _parent() is None else signal.signal(signal.SIGINT, signal.SIG_IGN)
    watcher = threading.Thread(target=watch, name="lifecycle", daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        left.set()
        stop.set()
        watcher.join()
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        if ignored is not None:
            signal.signal(signal.SIGINT, ignored)


async def _supervise(main: Main[T], shutdown_seconds: float) -> T:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    task: asyncio.Task[T] = loop.create_task(main(stop))
    asked = _Asked()

    def ask() -> None:
        if asked.again():
            task.cancel()
        stop.set()

    for signum in _signals():
        loop.add_signal_handler(signum, ask)
    ignored = None if _parent() is None else signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = loop.create_task(_stop_with_parent(stop))
    try:
        return await _until_done(task, stop, shutdown_seconds)
    finally:
        parent.cancel()
        for signum in _signals():
            loop.remove_signal_handler(signum)
        if ignored is not None:
            signal.signal(signal.SIGINT, ignored)


async def _until_done(task: asyncio.Task[T], stop: asyncio.Event, shutdown_seconds: float) -> T:
    asked = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    if not task.done():
        await asyncio.wait({task}, timeout=shutdown_seconds)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)
        raise FatalError(f"it did not stop within {shutdown_seconds:g} s of being asked and was cut off")
    if task.cancelled():
        raise FatalError("it was told twice to stop and was cut off")
    return task.result()


async def _stop_with_parent(stop: asyncio.Event) -> None:
    while not _orphaned():  # noqa: ASYNC110 (no event tells of another process's death)
        await asyncio.sleep(PARENT_CHECK_SECONDS)
    stop.set()


class _Asked:
    """Tells a second wish to stop from the first one's echo.

    What else sets the event, such as the parent's death, is no signal: the first one after it asks for an orderly end.
    """

    def __init__(self) -> None:
        self._first_s: float | None = None

    def again(self) -> bool:
        """Note a signal; whether somebody who had asked before has lost patience."""
        now_s = time.monotonic()
        if self._first_s is None:
            self._first_s = now_s
            return False
        return now_s - self._first_s >= ECHO_SECONDS


def _signals() -> tuple[signal.Signals, ...]:
    return (signal.SIGTERM,) if _parent() is not None else (signal.SIGTERM, signal.SIGINT)


def _parent() -> int | None:
    value = os.environ.get(PARENT_VARIABLE, "")
    return int(value) if value.isdecimal() else None


def _orphaned() -> bool:
    parent = _parent()
    return parent is not None and os.getppid() != parent


def _end_now(why: str) -> None:
    tell(f"obflow: cut off, since {why}")
    os._exit(EXIT_FAILED)
