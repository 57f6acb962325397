"""The command evaluate: what judgements are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from research.commands import VenueOption, replay_of
from schemas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from research.evaluation.rows import Call, Minute, RegimeForecast

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
    json: JsonFlag = False,
) -> None:
    """Say whether a language model's regimes are worth more than the rules', under a protocol fixed before looking.

    Reads the tables. What is measured, and how long it takes to show anything, is in docs/evaluation.md.

    Example: obflow evaluate regimes --json
    """
    import msgspec

    from research.evaluation.evaluate import evaluate as evaluate_rows
    from research.evaluation_shown import show

    if venue is not None and recording is None:
        raise UsageError("--venue says where a recording is of", next_step="give --recording FILE, or leave it out")
    minutes, forecasts, calls = _of_tables() if recording is None else _of_recording(recording, venue)
    report = evaluate_rows(minutes, forecasts, calls, model, seed)
    if json:
        emit_json(msgspec.to_builtins(report))
    else:
        show(report)


def _of_tables() -> Rows:
    from obflow.progress import progress
    from research.regime_tables import RegimeTables
    from sinks.store import Store

    access = load_settings().clickhouse
    patient = access.model_copy(update={"timeout_seconds": max(access.timeout_seconds, ANSWER_SECONDS)})
    store = Store(patient, readonly=True)
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
    from obflow.progress import progress
    from obflow.settings import Section
    from processors.compilation import with_engine
    from processors.factors import engine_of
    from processors.settings import ProcessorSettings
    from processors.stages import stage_named, stage_of
    from research.regime_replay import replay_regimes
    from research.replay import FactorReplay

    loaded = load_settings()
    chosen = with_engine(loaded.of(ProcessorSettings), loaded.cache)
    stage = stage_of(stage_named("regimes"), lambda name: loaded.section(name, Section))
    replay = replay_of(file, venue, until_damage=False)
    with progress(f"judging {file.name}", replay.found.lines) as bar:
        events = FactorReplay(replay, engine_of(chosen), None, bar.over)
        return (*replay_regimes(events, stage), ())
