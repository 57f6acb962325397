"""Looks from time to time whether what a role needs can be reached, each from a thread of its own: a look may block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from obflow import kafka
from obflow.health import Health
from obflow.settings import Settings
from schemas.errors import PipelineError

EVERY_SECONDS: Final = 5.0
BROKER_SECONDS: Final = 5.0


def broker_probe(settings: Settings) -> Callable[[], object]:
    """A look at the broker, with a deadline. It raises BrokerUnreachable."""
    return lambda: kafka.require_broker(settings, deadline_seconds=BROKER_SECONDS)


@contextmanager
def probing(
    health: Health, probes: Mapping[str, Callable[[], object]], every_s: float = EVERY_SECONDS
) -> Iterator[None]:
    """Keep conditions up to what looks find, while the block runs; a look under way ends on its own.

    Args:
        health: Where it is noted.
        probes: A look by its condition: returns where that holds, raises why it does not.
        every_s: Seconds between two looks.
    """
    stop = threading.Event()
    for name, probe in probes.items():
        arguments = (health, name, probe, stop, every_s)
        threading.Thread(target=_keep_looking, args=arguments, name=f"probe-{name}", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _keep_looking(
    health: Health, name: str, probe: Callable[[], object], stop: threading.Event, every_s: float
) -> None:
    while not stop.is_set():
        why = _refusal(probe)
        if not stop.is_set():
            health.note(name, why)
        stop.wait(every_s)


def _refusal(probe: Callable[[], object]) -> str:
    """Why a look failed; empty where it did not. Whatever it was, the thread that looks goes on."""
    try:
        probe()
    except PipelineError as error:
        return error.cause or error.reason
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
