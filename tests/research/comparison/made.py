"""Windows, minutes and answers of a made-up market."""

from __future__ import annotations

from functools import cache

from msgspec.structs import replace

from processors.regimes.prompt import build_prompt
from processors.regimes.shown import shown
from processors.regimes.state import Closed, RegimeState, close_windows
from research.comparison.answers import ModelAnswer, question_key
from research.comparison.windows import AskableWindow, StoredWindow, is_askable
from research.evaluation.minutes import Minutes
from research.evaluation.rows import RULES as RULES_NAME
from research.evaluation.rows import Minute, RegimeForecast
from schemas.messages import CallOutcome, InstrumentKey, LlmCall, Regime, RegimeEvent
from schemas.units import NS_PER_MS
from tests.processors.regimes.generated import RULES, Market, record
from tests.schemas.examples import EXAMPLES, load

BTC = InstrumentKey("binance-futures", "BTCUSDT")
ENDPOINT = "http://127.0.0.1:1/v1"


@cache
def closed_windows(events: int = 12_000, seed: int = 3, **market: float) -> list[Closed]:
    made = Market(seed, **{"broken": 0.001, **market})  # type: ignore[arg-type] # numbers of a market
    return close_windows(RegimeState(), record(made.events(events)), RULES, lambda _: None)


def askable(closed: list[Closed]) -> list[AskableWindow]:
    return list(filter(is_askable, (AskableWindow(str(BTC), BTC, one) for one in closed)))


def stored(closed: Closed) -> StoredWindow:
    source = (closed.source_log, closed.feed_source, closed.run)
    return StoredWindow(closed.window, closed.verdict.label, closed.received_ns, *source)


def minutes(events: int = 12_000, seed: int = 3, **market: float) -> list[Minute]:
    found = Minutes(str(BTC))
    for event in Market(seed, **{"broken": 0.001, **market}).events(events):  # type: ignore[arg-type] # as above
        found.take(event)
    return list(found.over())


def by_rules(closed: list[Closed]) -> list[RegimeForecast]:
    return [RegimeForecast(str(BTC), one.received_ns, RULES_NAME, one.verdict.label.value) for one in closed]


def answered(
    window: AskableWindow,
    model: str = "m",
    outcome: CallOutcome = CallOutcome.OK,
    *,
    tries: int = 1,
    p_up: float = 0.5,
    p_volatile: float = 0.5,
    unfaithful: bool = False,
) -> ModelAnswer:
    """An answer that took 100 ms a try, each 200 ms after the one before, and 600 tokens in, 500 kept, 40 out."""
    prompt = build_prompt(window.instrument, shown(window.closed), "en")
    call, event = load(EXAMPLES / "llm-calls/v5/ok.json"), load(EXAMPLES / "regimes/v3/llm.json")
    assert isinstance(call, LlmCall)
    assert isinstance(event, RegimeEvent)
    tokens = {"input_tokens": 600, "cached_tokens": 500, "output_tokens": 40, "cost_usd": 0.001}
    calls = [
        replace(
            call,
            model=model,
            outcome=outcome if turn + 1 == tries else CallOutcome.SERVER_ERROR,
            started_ns=window.closed.received_ns + turn * 200 * NS_PER_MS,
            latency_ms=100.0,
            **(tokens if turn + 1 == tries else dict.fromkeys(tokens)),  # type: ignore[arg-type] # fields by name
        )
        for turn in range(tries)
    ]
    said = replace(event, model=model, label=Regime.VOLATILE, p_up=p_up, p_volatile=p_volatile, unfaithful=unfaithful)
    key = question_key(ENDPOINT, model, prompt)
    return ModelAnswer(key, window.name, prompt.user, calls, said if outcome is CallOutcome.OK else None)
