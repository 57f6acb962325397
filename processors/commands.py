"""`obflow process`: one worker."""

from __future__ import annotations

from typing import Annotated

import typer

from obflow.cli import load_settings, run_async


def process(
    app_id: Annotated[str | None, typer.Option("--app-id", help="Consumer group of the workers.")] = None,
    topic_prefix: Annotated[str | None, typer.Option("--topic-prefix", help="Put before every topic's name.")] = None,
    metrics_port: Annotated[int | None, typer.Option("--metrics-port", help="Serve /metrics here; 0: not.")] = None,
) -> None:
    """Keep books and compute factors: l2.v1 in, factors.v1 out. Start as many workers as you like.

    A worker takes its share of the partitions, continues from its checkpoints in Kafka and ends on SIGTERM within
    seconds, its books saved. Reads l2.v1; writes factors.v1, resync.v1, dead-letters.v1 and its own changelog.

    Example: obflow process --set kafka.bootstrap_servers=127.0.0.1:9092
    """
    settings = load_settings(
        {"processor.app_id": app_id, "kafka.topic_prefix": topic_prefix, "metrics.port": metrics_port}
    )
    from processors.processor import PROCESSOR
    from processors.worker.run import install_uvloop, run_worker

    install_uvloop()
    run_async(lambda stop: run_worker(PROCESSOR, settings, stop))
