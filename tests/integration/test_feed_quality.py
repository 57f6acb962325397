"""What feeds were like, from a simulated venue through a real broker into a real table, and by the hour."""

from __future__ import annotations

import asyncio

import pytest

from obflow.settings import ClickHouseSettings
from schemas.messages import FeedQuality
from schemas.topics import FEED_QUALITY
from sinks.feed_commands import stored_hours
from sinks.settings import SinkSettings
from tests.integration.made_tables import make_tables
from tests.integration.producing import Running, producing, read_topic
from tests.integration.sinking import opened, run_until
from tests.support.patience import patient

pytestmark = pytest.mark.integration


async def test_losses_and_reconnects_of_a_feed_are_stored_as_they_were(
    broker: str, clickhouse: ClickHouseSettings
) -> None:
    async with producing(broker, venue_id="bybit", quality_seconds=1.0) as running:
        await whole(running)
        first, second = running.feed.router.streams.values()
        await running.venue.inject("gap", symbol=first.instrument.symbol)
        await running.until(lambda: first.counters.gaps, patient(10.0))
        await whole(running)
        await running.venue.inject("disconnect")
        await running.until(lambda: not (first.is_live or second.is_live), patient(10.0))
        await whole(running)
    lost = {stream.instrument.symbol: stream.advance().lost for stream in (first, second)}
    make_tables(clickhouse)
    settings = running.settings.model_copy(update={"clickhouse": clickhouse, "sink": SinkSettings(flush_seconds=0.05)})
    records = [
        one for one in await asyncio.to_thread(read_topic, settings, FEED_QUALITY) if isinstance(one, FeedQuality)
    ]
    await asyncio.to_thread(
        run_until, settings, lambda counts: counts["feed_quality"].rows == len(records), "feed_quality"
    )
    with opened(clickhouse) as store:
        hours = [row for row in stored_hours(store) if row["venue"] == "bybit"]

    for symbol in lost:
        own, told = [row for row in hours if row["symbol"] == symbol], [one for one in records if one.symbol == symbol]
        assert len(told) > 1, "one a second, and one at the end"
        assert sum(one.ids_lost or 0 for one in told) == lost[symbol]
        assert sum(row["reopened"] for row in own) == 1
        assert sum(row["gaps"] for row in own) == sum(one.gaps for one in told) == (symbol == first.instrument.symbol)
        assert all(row["depth_p50_ms"] <= row["depth_p99_ms"] for row in own)
        assert any(row["clock_ahead_ms"] is not None and abs(row["clock_ahead_ms"]) < 1_500 for row in own)
    assert lost[first.instrument.symbol] > 0


async def whole(running: Running) -> None:
    """Wait until every book is LIVE, and tells of another window."""
    await running.until(
        lambda: running.is_up and all(stream.is_live for stream in running.feed.router.streams.values()), patient(20.0)
    )
    await asyncio.sleep(1.1)
