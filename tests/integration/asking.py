"""An asker whose endpoint is a server on loopback, and what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from obflow.metrics import Metrics
from processors.llm.asker import Endpoint, LlmAsker
from processors.llm.client import LlmClient
from processors.llm.key_ring import KeyRing
from processors.llm.keys import Keys
from processors.llm.limits import LlmLimits, LlmOutputs
from processors.llm.models_list import validate_key
from processors.llm.pricing import Prices
from processors.regimes.state import Closed, RegimeState, close_windows
from schemas.messages import CallOutcome, InstrumentKey, LlmCall, RegimeEvent
from tests.integration.llm_server import INPUT_PRICE, OUTPUT_PRICE, LlmServer
from tests.processors.regimes.generated import RULES, Market, record
from tests.support.patience import patient

BTC = InstrumentKey("binance-futures", "BTCUSDT")
DEADLINE_S = 1.0


def windows(seed: int = 3) -> list[Closed]:
    return close_windows(RegimeState(), record(Market(seed).events(800)), RULES, lambda _: None)


WINDOWS = windows()


@dataclass
class Partition:
    """Where an instrument lives."""

    partition: int = 0
    owned: bool = True


@dataclass
class Office:
    """An asker, and what it has sent."""

    asker: LlmAsker
    metrics: Metrics
    owner: Partition = field(default_factory=Partition)
    events: list[RegimeEvent] = field(default_factory=list)
    calls: list[LlmCall] = field(default_factory=list)

    def ask(self, window: int = 0, instrument: InstrumentKey = BTC) -> None:
        self.asker.enqueue(str(instrument), WINDOWS[window], self.owner)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        async with asyncio.timeout(patient(seconds)):
            while not condition():  # noqa: ASYNC110 (what is waited for is counted on both sides)
                await asyncio.sleep(0.01)

    async def calls_made(self, count: int, seconds: float = 5.0) -> list[CallOutcome]:
        await self.until(lambda: len(self.calls) >= count, seconds)
        await asyncio.sleep(0.05)
        assert len(self.calls) == count
        return [call.outcome for call in self.calls]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.value(name, **labels)  # type: ignore[arg-type] # a name of the list


@asynccontextmanager
async def office(
    server: LlmServer,
    *,
    client: Endpoint | None = None,
    key: str = "k-secret",
    key_file: Path | None = None,
    ring: KeyRing | None = None,
    answer_tokens: int = 1_000,
    deadline_s: float | None = None,
    **limits: object,
) -> AsyncIterator[Office]:
    metrics = Metrics("regimes")
    keys = Keys(
        key,
        key_file,
        lambda reason: metrics.counter("obflow_rejected_total", reason=reason).inc(),
        partial(validate_key, server.url),
        ring,
    )
    chosen = {
        "endpoint": server.url,
        "model": "small-model",
        "rules": "r2-test",
        "prices": Prices(float(INPUT_PRICE), float(OUTPUT_PRICE)),
        "concurrency": 4,
        "requests_per_minute": 600,
        "answer_tokens": answer_tokens,
        **limits,
        "deadline_s": patient(DEADLINE_S) if deadline_s is None else deadline_s,
    }
    outputs = LlmOutputs(
        lambda _, event: found.events.append(event), lambda _, call: found.calls.append(call), keys.masked
    )
    client = client or LlmClient(server.url, "small-model", keys.current, answer_tokens)
    asker = LlmAsker(client, LlmLimits(**chosen), outputs, metrics, keys=keys)  # type: ignore[arg-type] # changes of a test
    found = Office(asker, metrics)
    running = asyncio.create_task(found.asker.run())
    try:
        yield found
    finally:
        running.cancel()
        await found.asker.close()
