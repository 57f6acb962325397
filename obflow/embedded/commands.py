"""Commands of the embedded default."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from obflow.cli import load_settings, stop_on_signal

WATCH_S = 0.5


def kafka(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for clients; 0 chooses a free one.")] = 9092,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data folder, kept; <cache>/kafka where none is given.")
    ] = None,
) -> None:
    """Run the embedded Kafka broker in the foreground, until Ctrl-C.

    Example: obflow kafka --port 9092 --data ./kafka-data
    """
    from obflow.embedded.kafka import EmbeddedKafka

    settings = load_settings()
    broker = EmbeddedKafka(data or settings.cache / "kafka", port=port, cache=settings.cache, report=_say)
    with stop_on_signal() as stop:
        try:
            address = broker.start()
            _say(f"Kafka 4.1.0 listens on {address}; data and log in {broker.data}; Ctrl-C stops it")
            while not stop.is_set():
                broker.wait(WATCH_S)
        finally:
            broker.stop()


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
