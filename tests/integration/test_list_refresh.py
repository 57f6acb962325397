"""The venue's instrument list, read again while its instruments are produced: at every venue, against the simulator."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from producers.selection import Selection
from producers.simulator.venues import SIMULATED
from schemas.messages import FeedState, FeedStatus, Kind, L2Record, Reason
from schemas.topics import FEED_STATUS, L2
from tests.integration.producing import Running, producing, read_topic, symbols_of
from tests.producers.l2_reader import books_of
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

EACH = pytest.mark.parametrize("venue_id", tiered(sorted(SIMULATED), "binance-futures", "okx"))
OFTEN_S = 0.4
"""Between two readings: seldom enough for every venue's limits."""


def records_of(running: Running, symbol: str) -> list[L2Record]:
    return [record for record in read_topic(running.settings, L2) if record.symbol == symbol]


def statuses_of(running: Running, symbol: str) -> list[FeedStatus]:
    return [status for status in read_topic(running.settings, FEED_STATUS) if status.symbol == symbol]


@EACH
async def test_a_delisted_instrument_ends_with_its_reason_and_the_others_go_on(broker: str, venue_id: str) -> None:
    gone, other = symbols_of(venue_id)
    async with producing(broker, venue_id=venue_id, list_refresh_seconds=OFTEN_S) as running:
        await running.all_live()
        await running.venue.inject("delist", symbol=gone)
        await running.until(lambda: gone not in running.feed.router.streams, patient(20))
        applied = running.stream(other).counters.deltas_applied
        await running.until(lambda: running.stream(other).counters.deltas_applied > applied + 10, patient(10))
        assert running.stream(other).counters.gaps == 0
    last = records_of(running, gone)[-1]
    *_, ended = statuses_of(running, gone)

    assert (last.kind, last.reason) == (Kind.INVALID, Reason.DELISTED)
    assert (ended.state, ended.reason) == (FeedState.STOPPED, Reason.DELISTED)
    assert ended.detail.endswith("it will not trade again")
    assert books_of(read_topic(running.settings, L2))[other].invalid == []


@EACH
async def test_a_changed_tick_size_begins_a_new_epoch_of_that_book_alone(broker: str, venue_id: str) -> None:
    symbol, other = symbols_of(venue_id)
    async with producing(broker, venue_id=venue_id, list_refresh_seconds=OFTEN_S) as running:
        await running.all_live()
        before = running.stream(symbol).instrument.tick_size
        await running.venue.inject("tick_size", symbol=symbol)
        await running.until(lambda: running.stream(symbol).instrument.tick_size != before, patient(20))
        await running.all_live()
        listed = running.stream(symbol).instrument.tick_size
    records = records_of(running, symbol)
    reasons = [record.reason for record in records if record.kind is Kind.INVALID]

    assert Reason.REGRID in reasons
    [at] = [at for at, record in enumerate(records) if record.reason is Reason.REGRID]
    later = records[at + 1 :]
    assert later[0].kind is Kind.SNAPSHOT
    assert later[0].epoch > records[at].epoch
    assert {record.tick_size for record in later} == {listed}
    assert books_of(read_topic(running.settings, L2))[other].invalid == []


@EACH
async def test_an_instrument_that_is_listed_later_is_produced_where_all_were_asked_for(
    broker: str, venue_id: str
) -> None:
    first, second, third = SIMULATED[venue_id].listed[:3]
    served = (first, second)
    async with producing(
        broker, venue_id=venue_id, symbols=served, wanted=Selection(), list_refresh_seconds=OFTEN_S
    ) as running:
        await running.all_live()
        assert set(running.feed.router.streams) == set(served)
        await running.venue.inject("list", symbol=third)
        await running.until(lambda: third in running.feed.router.streams, patient(20))
        await running.all_live()
        assert all(running.stream(symbol).counters.gaps == 0 for symbol in served)
    states = [status.state for status in statuses_of(running, third)]

    assert states[0] is FeedState.CONNECTING
    assert states[-2:] == [FeedState.LIVE, FeedState.STOPPED]
    assert books_of(read_topic(running.settings, L2))[third].live


async def test_a_list_that_cannot_be_read_changes_nothing_and_is_told_once(broker: str) -> None:
    def reads(outcome: str) -> float:
        return running.metrics.value("obflow_list_reads_total", venue="binance-futures", outcome=outcome)

    with capture_logs() as logged:
        async with producing(broker, list_refresh_seconds=0.2) as running:
            await running.all_live()
            await running.venue.inject("refuse_requests", count=5, status=500, seconds=0)
            await running.until(lambda: reads("failed") >= 5, patient(20))
            read = reads("read")
            await running.until(lambda: reads("read") > read, patient(20))
            assert all(running.stream(symbol).is_live for symbol in running.feed.router.streams)
    told = [line for line in logged if line["event"] == "instruments_not_listed"]

    assert len(told) == 1
    assert {symbol: book.invalid for symbol, book in books_of(read_topic(running.settings, L2)).items()} == {
        "BTCUSDT": [],
        "ETHUSDT": [],
    }
