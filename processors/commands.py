"""`obflow process` and `obflow regimes`: one worker, which runs a stage."""

from __future__ import annotations

from typing import Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, run_async
from obflow.terminal import say

AppId = Annotated[str | None, typer.Option("--app-id", help="Consumer group of the workers.")]
TopicPrefix = Annotated[str | None, typer.Option("--topic-prefix", help="Put before every topic's name.")]
MetricsPort = Annotated[int | None, typer.Option("--metrics-port", help="Serve /metrics here; 0: not.")]


def process(
    stage: Annotated[str, typer.Option("--stage", metavar="NAME", help="What to run, as books or signals.")] = "books",
    app_id: AppId = None,
    topic_prefix: TopicPrefix = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Keep books and compute factors: l2.v1 in, factors.v1 out. Start as many workers as you like.

    A worker takes its share of the partitions, continues from its checkpoints in Kafka and ends on SIGTERM within
    seconds, its books saved. Reads l2.v1; writes factors.v1, resync.v1, dead-letters.v1 and its own changelog. With
    another --stage it reads and writes that stage's topics in the same way.

    Example: obflow process --set kafka.bootstrap_servers=127.0.0.1:9092
    """
    _run(stage, app_id, topic_prefix, metrics_port)


Action = Annotated[
    str | None,
    typer.Argument(help="Of a rollout: status, promote, hold, rollback, rearm, enable, disable.", metavar="[ACTION]"),
]


def regimes(
    action: Action = None,
    app_id: AppId = None,
    topic_prefix: TopicPrefix = None,
    metrics_port: MetricsPort = None,
    json: JsonFlag = False,
) -> None:
    """Judge windows of factors: factors.v1 in, regimes.v1 out. Start as many workers as you like.

    Every five seconds of each instrument get one judgement by the rules, at once. Where regimes.base_url or
    regimes.api_key names a language model, it is asked beside them, and its answer, valid and in time, is a second
    judgement; every request is a record of llm-calls.v1. A worker continues from its checkpoints in Kafka and ends on
    SIGTERM within seconds. The same as obflow process --stage regimes.

    With an ACTION no worker is started: it shows how far the model is rolled out (regimes.rollout), or changes that.
    The worker that controls the rollout does it, and every change is a record of rollout.v1.

    Example: obflow regimes --set regimes.base_url=http://127.0.0.1:8000/v1 --set regimes.model=small-model
    """
    if action is None:
        _run("regimes", app_id, topic_prefix, metrics_port)
        return
    from processors.rollout_commands import (
        NO_VERDICTS,
        STATUS,
        newest_verdicts,
        rollout_action,
        shown,
        stage_facts,
        told,
        told_verdict,
    )

    settings = load_settings({"kafka.topic_prefix": topic_prefix})
    state = rollout_action(settings, action)
    facts = stage_facts(settings, state) if action == STATUS else None
    verdicts = newest_verdicts(settings) if action == STATUS else NO_VERDICTS
    if json:
        emit_json(shown(state, facts, verdicts))
        return
    say(told(state))
    for name, reading in facts.readings.items() if facts is not None else ():
        say(f"  {name}: {reading.bad} of {reading.questions} questions, evidence {reading.evidence:.3g} of 100")
    for verdict in verdicts.values():
        say(f"  {told_verdict(verdict)}")


def _run(stage: str, app_id: str | None, topic_prefix: str | None, metrics_port: int | None) -> None:
    from obflow.settings import Section
    from processors.compilation import with_engine
    from processors.llm.beside import BESIDE
    from processors.stages import stage_named, stage_of
    from processors.worker.run import install_uvloop, run_worker

    kind = stage_named(stage)
    settings = load_settings(
        {f"{kind.role}.app_id": app_id, "kafka.topic_prefix": topic_prefix, "metrics.port": metrics_port}
    )
    chosen = stage_of(kind, lambda name: with_engine(settings.section(name, Section), settings.cache))
    install_uvloop()
    run_async(lambda stop: run_worker(chosen, settings, stop, BESIDE.get(stage)))
