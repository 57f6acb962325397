"""The command regimes compare: the same questions to several models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, run_async
from research.commands import VenueOption
from schemas.errors import UsageError
from schemas.units import NS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.llm.beside import ArmChoice
    from processors.settings import RegimeSettings
    from research.asked_models import ModelToAsk
    from research.comparison.estimate import CostEstimate
    from research.comparison.table import ComparedModel
    from research.comparison.windows import AskableWindow
    from research.evaluation.rows import Minute, RegimeForecast

    Rows = tuple[Sequence[Minute], Sequence[RegimeForecast], Sequence[AskableWindow]]

FREE_USD: Final = 1.0
"""Estimated cost up to which nobody is asked."""
ANSWERS: Final = Path("regime-answers")


def compare_regimes(
    models: Annotated[str, typer.Option("--models", metavar="A,B", help="Models to ask, with commas between.")],
    windows: Annotated[int, typer.Option("--windows", min=1, metavar="N", help="Windows to ask about.")] = 100,
    recording: Annotated[
        Path | None, typer.Option("--recording", metavar="FILE", help="Windows of a recording, not of the tables.")
    ] = None,
    venue: VenueOption = None,
    hours: Annotated[float, typer.Option("--hours", min=0.1, metavar="H", help="Of the tables: how far back.")] = 24.0,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the choice and the intervals.")] = 1,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="M=IN,OUT[,CACHED]", help="Price of a model, USD a million tokens; repeated."),
    ] = None,
    answers: Annotated[
        Path, typer.Option("--answers", metavar="DIR", help="Where answers are kept and found again.")
    ] = ANSWERS,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Ask again what brought no valid answer in an earlier run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it is likely to cost, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where that is above 1 USD, or not known.")] = False,
    json: JsonFlag = False,
) -> None:
    """Ask several models the same questions about stored windows, and put what came of it side by side.

    Each is asked at regimes.base_url with its key, and regimes.green_model at that one's. Every request and answer is
    kept, and what is kept is not asked again, so that a second run needs no network.

    Example: obflow regimes compare --models small-model,large-model --windows 200 --price small-model=0.15,0.6
    """
    import msgspec

    from research.comparison.choice import chosen
    from research.comparison.table import CameTrue, side_by_side
    from research.comparison_shown import show_comparison, show_estimates
    from research.evaluation.rows import RULES

    if venue is not None and recording is None:
        raise UsageError("--venue says where a recording is of", next_step="give --recording FILE, or leave it out")
    settings = _settings()
    arms = _arms(settings, models, price or [])
    minutes, forecasts, askable = _of_tables(hours) if recording is None else _of_recording(recording, venue)
    asked = chosen(askable, windows, seed)
    to_ask = _to_ask(settings, arms, asked, answers, ask_again=ask_again)
    estimates = [_estimate(one) for one in to_ask]
    if not json:
        show_estimates(estimates)
    if dry_run:
        if json:
            emit_json({"estimates": [one._asdict() for one in estimates]})
        return
    _check_cost(estimates, yes=yes)
    found = _answers(to_ask, settings)
    came = CameTrue(minutes, [row for row in forecasts if row.forecaster == RULES])
    compared = side_by_side(came, asked, len(askable), found, seed)
    if json:
        emit_json(msgspec.to_builtins(compared))
    else:
        show_comparison(compared)


def _settings() -> RegimeSettings:
    from processors.settings import RegimeSettings

    return load_settings().of(RegimeSettings)


def _arms(settings: RegimeSettings, models: str, prices: Sequence[str]) -> list[ArmChoice]:
    """Each named model: at the arm that has it, else where the first arm is.

    Raises:
        UsageError: A name or a price is none.
    """
    from processors.llm.beside import arms_of, checked_url, prices_of
    from processors.llm.pricing import NO_PRICES
    from research.comparison.named import named_models, read_prices

    told = read_prices(prices)
    blue, *others = arms_of(settings)
    found = []
    for model in named_models(models):
        arm = next((one for one in (blue, *others) if one.model == model), None)
        arm = arm or blue._replace(model=model, prices=prices_of(settings.prices, NO_PRICES, blue.base_url, model))
        found.append(
            arm._replace(
                base_url=checked_url(arm.base_url, f"{arm.prefix}base_url"), prices=told.get(model, arm.prices)
            )
        )
    return found


def _to_ask(
    settings: RegimeSettings,
    arms: Sequence[ArmChoice],
    asked: Sequence[AskableWindow],
    kept: Path,
    *,
    ask_again: bool,
) -> list[ModelToAsk]:
    from research.answer_store import AnswerStore
    from research.asked_models import ModelToAsk, questions_of

    found = []
    for arm in arms:
        store = AnswerStore(kept, arm.base_url, arm.model)
        if ask_again:
            store.forget_failures()
        found.append(ModelToAsk(arm, questions_of(asked, arm, settings.language), store))
    return found


def _estimate(model: ModelToAsk) -> CostEstimate:
    from research.comparison.estimate import estimated

    prompts = [question.prompt for question in model.open_questions]
    return estimated(model.arm.model, prompts, list(model.store.kept.values()), model.arm.prices.at(time.time_ns()))


def _check_cost(estimates: Sequence[CostEstimate], *, yes: bool) -> None:
    """Go no further where it may cost more than a little and nobody has agreed.

    Raises:
        UsageError: That is so.
    """
    unpriced = [one.model for one in estimates if one.usd is None]
    if yes:
        return
    if unpriced:
        raise UsageError(
            f"what {', '.join(unpriced)} would cost is not known", next_step="give its --price, or --yes to go on"
        )
    total = sum(one.usd or 0.0 for one in estimates)
    if total > FREE_USD:
        raise UsageError(f"this is likely to cost {total:.2f} USD", next_step="give --yes to go on, or fewer --windows")


def _answers(to_ask: Sequence[ModelToAsk], settings: RegimeSettings) -> list[ComparedModel]:
    from research.asked_models import ask_models

    return run_async(lambda stop: ask_models(to_ask, settings, stop))


def _of_recording(file: Path, venue: str | None) -> Rows:
    from research.evaluate_commands import replay_recording

    return replay_recording(file, venue)


def _of_tables(hours: float) -> Rows:
    from obflow.progress import progress
    from research.evaluate_commands import patient_store
    from research.regime_tables import RegimeTables

    since_ns = time.time_ns() - round(hours * NS_PER_HOUR)
    store = patient_store(load_settings(), readonly=True)
    minutes: list[Minute] = []
    forecasts: list[RegimeForecast] = []
    found: list[AskableWindow] = []
    try:
        tables = RegimeTables(store)
        judged = tables.instruments()
        with progress("asking the tables", len(judged)) as bar:
            for instrument in bar.over(judged):
                minutes += tables.minutes(instrument)
                forecasts += tables.forecasts(instrument)
                found += tables.windows(instrument, since_ns)
    finally:
        store.close()
    return minutes, forecasts, found
