"""What a role did, in one line a minute: how far each of its counters has come since the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from obflow.logs import get_logger

EVERY_S: Final = 60.0
Counts = Mapping[str, float]
log = get_logger(__name__)


def growth(before: Counts, now: Counts) -> dict[str, int]:
    """What was counted between two looks, by the counter's name without what all of them share; no zeros."""
    grown = {name: round(count - before.get(name, 0.0)) for name, count in now.items()}
    return {name.removeprefix("obflow_"): count for name, count in grown.items() if count}


@contextmanager
def told_each_minute(count: Callable[[], Counts], every_s: float = EVERY_S) -> Iterator[None]:
    """Say what was counted, a line a minute, while the block runs.

    Args:
        count: Gives each counter's sum.
        every_s: How long a minute is.
    """
    left = threading.Event()
    thread = threading.Thread(target=_tell, args=(count, every_s, left), name="minutes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def _tell(count: Callable[[], Counts], every_s: float, left: threading.Event) -> None:
    before = count()
    while not left.wait(every_s):
        now = count()
        log.info("minute", **growth(before, now))
        before = now
