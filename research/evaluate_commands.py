"""The command evaluate: what judgements are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, stop_on_signal
from research.commands import VenueOption, replay_of
from schemas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obflow.settings import Settings
    from research.evaluation.rows import Call, Minute, RegimeForecast
    from research.regime_replay import Replayed
    from sinks.store import Store

    Rows = tuple[Sequence[Minute], Sequence[RegimeForecast], Sequence[Call]]

ANSWER_SECONDS: Final = 600.0
"""How long an answer of the database about one instrument is waited for: weeks of events are read."""

evaluate = typer.Typer(help="Score judgements by what came after them.", no_args_is_help=True)


@evaluate.callback()
def _group() -> None:
    """Keep the group a group while it has one command."""


@evaluate.command("regimes")
def evaluate_regimes(
    recording: Annotated[
        Path | None, typer.Option("--recording", metavar="FILE", help="Judge the rules on a recording, not the tables.")
    ] = None,
    venue: VenueOption = None,
    model: Annotated[
        str, typer.Option("--model", metavar="M", help="The model to judge; by default that of the newest answer.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the intervals' draws.")] = 1,
    follow: Annotated[
        bool, typer.Option("--follow", help="Judge every model after each minute, until SIGTERM; needs the broker.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="With --follow: serve /metrics here; 0: not.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Say whether a language model's regimes are worth more than the rules', under a protocol fixed before looking.

    Reads the tables. What is measured, and how long it takes to show anything, is in docs/evaluation.md. With --follow
    each minute's verdict on each model becomes a row of regime_eval and a record of regime-eval.v1, which
    `obflow regimes status` shows.

    Example: obflow evaluate regimes --json
    """
    import msgspec

    from research.evaluation.evaluate import evaluate as evaluate_rows
    from research.evaluation_shown import show

    if follow:
        _follow(recording, model, metrics_port)
        return
    if venue is not None and recording is None:
        raise UsageError("--venue says where a recording is of", next_step="give --recording FILE, or leave it out")
    minutes, forecasts, calls = _of_tables() if recording is None else _of_recording(recording, venue)
    report = evaluate_rows(minutes, forecasts, calls, model, seed)
    if json:
        emit_json(msgspec.to_builtins(report))
    else:
        show(report)


def _follow(recording: Path | None, model: str, metrics_port: int | None) -> None:
    from obflow.metrics import Metrics
    from obflow.terminal import say
    from research.evaluate_follow import ModelJudge, VerdictWriter, follow_regimes

    if recording is not None or model:
        raise UsageError(
            "--follow judges every model that answers, over the tables", next_step="leave out --recording and --model"
        )
    settings = load_settings({"metrics.port": metrics_port})
    metrics, store = Metrics("evaluate"), patient_store(settings, readonly=False)
    writer = VerdictWriter(settings, store, metrics)
    judge = ModelJudge(store, writer, metrics, lambda verdict: say(verdict.sentence))
    try:
        with metrics.served(settings.metrics), stop_on_signal() as stop:
            follow_regimes(settings, store, stop, judge)
    finally:
        writer.close()
        store.close()


def patient_store(settings: Settings, *, readonly: bool) -> Store:
    """The database, with time for weeks of rows. Errors as of `Store`."""
    from sinks.store import Store

    access = settings.clickhouse
    patient = access.model_copy(update={"timeout_seconds": max(access.timeout_seconds, ANSWER_SECONDS)})
    return Store(patient, readonly=readonly)


def _of_tables() -> Rows:
    from obflow.progress import progress
    from research.regime_tables import RegimeTables

    store = patient_store(load_settings(), readonly=True)
    try:
        tables = RegimeTables(store)
        judged = tables.instruments()
        minutes: list[Minute] = []
        forecasts: list[RegimeForecast] = []
        with progress("asking the tables", len(judged)) as bar:
            for instrument in bar.over(judged):
                minutes += tables.minutes(instrument)
                forecasts += tables.forecasts(instrument)
        return minutes, forecasts, tables.calls()
    finally:
        store.close()


def _of_recording(file: Path, venue: str | None) -> Rows:
    found = replay_recording(file, venue)
    return found.minutes, found.forecasts, ()


def replay_recording(file: Path, venue: str | None) -> Replayed:
    """Take a recording through the books, the factors and the regimes, in memory."""
    from obflow.progress import progress
    from obflow.settings import Section
    from processors.compilation import with_engine
    from processors.factors import engine_of
    from processors.settings import ProcessorSettings
    from processors.stages import stage_named, stage_of
    from research.regime_replay import replay_regimes
    from research.replay import FactorReplay

    loaded = load_settings()
    chosen = with_engine(loaded.of(ProcessorSettings), loaded.cache, tells=False)
    stage = stage_of(stage_named("regimes"), lambda name: loaded.section(name, Section))
    replay = replay_of([file], venue, until_damage=False)
    with progress(f"judging {file.name}", replay.found.lines) as bar:
        events = FactorReplay(replay, engine_of(chosen), None, bar.over)
        return replay_regimes(events, stage)
