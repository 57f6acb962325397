"""`obflow regimes`: one regime worker."""

from __future__ import annotations

from typing import Annotated

import typer

from obflow.cli import load_settings, run_async


def regimes(
    app_id: Annotated[str | None, typer.Option("--app-id", help="Consumer group of the workers.")] = None,
    topic_prefix: Annotated[str | None, typer.Option("--topic-prefix", help="Put before every topic's name.")] = None,
    metrics_port: Annotated[int | None, typer.Option("--metrics-port", help="Serve /metrics here; 0: not.")] = None,
) -> None:
    """Judge windows of factors: factors.v1 in, regimes.v1 out. Start as many workers as you like.

    Every five seconds of each instrument get one judgement by the rules, at once. Where regimes.base_url or
    regimes.api_key names a language model, it is asked beside them, and its answer, valid and in time, is a second
    judgement; every request is a record of llm-calls.v1. A worker continues from its checkpoints in Kafka and ends on
    SIGTERM within seconds.

    Example: obflow regimes --set regimes.base_url=http://127.0.0.1:8000/v1 --set regimes.model=small-model
    """
    settings = load_settings(
        {"regimes.app_id": app_id, "kafka.topic_prefix": topic_prefix, "metrics.port": metrics_port}
    )
    from processors.regimes.app import REGIMES_WORKER
    from processors.worker.run import install_uvloop, run_worker

    install_uvloop()
    run_async(lambda stop: run_worker(REGIMES_WORKER, settings, stop))
