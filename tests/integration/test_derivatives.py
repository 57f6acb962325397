"""Funding, mark prices and open interest from a simulated venue through a real broker into a real table, once each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from obflow.clock import SystemClock
from obflow.settings import ClickHouseSettings, Settings
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.feed import LiveFeed
from producers.recordings.reader import RecordingReplay
from producers.settings import ProducerSettings
from schemas.messages import DerivativeRecord
from schemas.topics import DERIVATIVES
from sinks.counts import Counts
from sinks.settings import SinkSettings
from tests.integration.made_tables import make_tables
from tests.integration.producing import producing, read_topic
from tests.integration.simulators import simulator
from tests.integration.sinking import opened, run_until
from tests.support.patience import patient

pytestmark = pytest.mark.integration

VALUES = "funding_rate, funding_interval_s, mark_price, index_price, open_interest"


async def test_what_a_venue_tells_of_derivatives_is_stored_once(broker: str, clickhouse: ClickHouseSettings) -> None:
    async with producing(broker, venue_id="bybit", stale_seconds=2.0) as running:
        await running.all_live()
        streams = running.feed.router.streams.values()
        await running.until(lambda: all(stream.counters.derivatives > 6 for stream in streams), 30)
        assert not any(stream.feed.silences for stream in streams)
    make_tables(clickhouse)
    settings = running.settings.model_copy(update={"clickhouse": clickhouse, "sink": SinkSettings(flush_seconds=0.05)})
    records = await asyncio.to_thread(read_topic, settings, DERIVATIVES)
    told = [record for record in records if isinstance(record, DerivativeRecord)]
    assert len(told) == running.summary["acknowledged"][DERIVATIVES.name] == len(records)
    for _ in range(2):  # the second sink reads the same log, and stores nothing of it again
        await asyncio.to_thread(run_until, settings, has_read_all, "derivatives")

    wanted = [
        (record.symbol, record.received_ns, *map(number, (record.funding_rate, record.funding_interval_s)),
         *map(number, (record.mark_price, record.index_price, record.open_interest)))
        for record in told
    ]  # fmt: skip
    with opened(clickhouse) as store:
        rows = store.query(f"SELECT symbol, toUnixTimestamp64Nano(received_at), {VALUES} FROM derivatives")  # noqa: S608
        assert sorted(rows, key=str) == sorted(wanted, key=str)
        assert store.query("SELECT count() FROM derivatives_once") == [(len(told),)]
        newest = {row[0]: row[1:] for row in store.query(f"SELECT symbol, {VALUES} FROM latest_derivatives")}  # noqa: S608
    for symbol, values in newest.items():
        own = [row[2:] for row in wanted if row[0] == symbol]
        assert values == tuple(next(row[at] for row in own[::-1] if row[at] is not None) for at in range(5))
    assert {row[2] is None for row in wanted} == {True, False}, "a change tells no funding, and is no whole ticker"


async def test_open_interest_that_no_channel_tells_is_asked_for(tmp_path: Path) -> None:
    path, stop = tmp_path / "a.frames.jsonl.gz", asyncio.Event()
    feeds: list[LiveFeed] = []
    async with simulator("binance-futures") as venue:
        producer = ProducerSettings(
            rest_url=venue.server.rest_url, websocket_url=venue.server.websocket_url, open_interest_seconds=0.2
        )
        task = asyncio.create_task(
            run.record(
                EXCHANGES["binance-futures"],
                ["BTCUSDT", "ETHUSDT"],
                Settings(producer=producer),
                clock=SystemClock(),
                stop=stop,
                path=path,
                on_feed=feeds.append,
            )
        )
        async with asyncio.timeout(patient(20)):
            while not feeds or not all(told.counters.derivatives > 3 for told in feeds[0].router.streams.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        stop.set()
        await task
    records = RecordingReplay(path, EXCHANGES["binance-futures"]).records()
    told = [record for record in records if isinstance(record, DerivativeRecord)]
    asked = [record for record in told if record.open_interest is not None]
    assert {record.symbol for record in asked} == {"BTCUSDT", "ETHUSDT"}
    assert {record.mark_price for record in asked} == {None}, "a record says what one message said"
    assert {record.mark_price is None for record in told} == {True, False}


def has_read_all(counts: Mapping[str, Counts]) -> bool:
    found = counts["derivatives"]
    return bool(found.lags) and not any(found.lags.values()) and not found.buffered_rows


def number(value: str | int | None) -> float | int | None:
    return float(value) if isinstance(value, str) else value
