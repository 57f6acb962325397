"""Who may produce an instrument, by what others say on a real broker."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
import structlog

from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker import guard as guard_module
from producers.broker.guard import LiveGuard, refuse_where_live
from producers.broker.publisher import Publisher
from producers.broker.statuses import StatusReader
from schemas.errors import UsageError
from schemas.messages import FeedState, FeedStatus, Source
from schemas.topics import FEED_STATUS
from tests.integration.producing import fresh_topics, read_topic
from tests.support.manual_clock import ManualClock
from tests.support.patience import patient

pytestmark = pytest.mark.integration

CONNECTING, LIVE, STOPPED = FeedState.CONNECTING, FeedState.LIVE, FeedState.STOPPED


class Producer:
    """Another producer, as far as its statuses show it."""

    def __init__(self, settings: Settings, venue: str, share: str = "") -> None:
        self.venue = venue
        self.publisher = Publisher(settings, Metrics("producer"), SystemClock().now_ns, share=share)
        self.epoch = 0

    def say(
        self, state: FeedState, source: Source = Source.LIVE, symbol: str = "BTCUSDT", venue: str | None = None
    ) -> None:
        self.hand_over(state, source, symbol, venue)
        self.publisher.flush(patient(20))

    def hand_over(
        self, state: FeedState, source: Source = Source.LIVE, symbol: str = "BTCUSDT", venue: str | None = None
    ) -> None:
        """Say it without waiting until the log has it."""
        self.epoch += 1  # a resync raises it, and changes nothing of who it is
        assert self.publisher.offer(FeedStatus(venue or self.venue, symbol, source, state, self.epoch, 0))


@pytest.fixture(scope="module")
def settings(broker: str) -> Settings:
    """One set of topics: each test has a venue of its own in them."""
    settings = fresh_topics(broker)
    kafka = settings.kafka.model_copy(update={"request_timeout_seconds": patient(30.0)})
    return settings.model_copy(update={"kafka": kafka})


@pytest.fixture
def venue() -> str:
    return f"venue-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def first(settings: Settings, venue: str) -> Iterator[Producer]:
    producer = Producer(settings, venue)
    yield producer
    producer.publisher.close()


@pytest.fixture
def second(settings: Settings, venue: str) -> Iterator[Producer]:
    producer = Producer(settings, venue)
    yield producer
    producer.publisher.close()


def replay_refused(settings: Settings, venue: str) -> bool:
    try:
        refuse_where_live(settings, venue, ["BTCUSDT", "ETHUSDT"], SystemClock())
    except UsageError:
        return True
    return False


def guard_of(settings: Settings, venue: str, run: str = "ours", metrics: Metrics | None = None) -> LiveGuard:
    metrics = metrics or Metrics("producer")
    return LiveGuard(settings, venue, ["BTCUSDT", "ETHUSDT"], run=run, clock=SystemClock(), metrics=metrics)


async def seconds_to_stand_alone(settings: Settings, venue: str) -> float:
    began = time.monotonic()
    with closing(guard_of(settings, venue)) as guard:
        await guard.stand_alone(asyncio.Event())
    return time.monotonic() - began


async def look_for_ever(guard: LiveGuard) -> None:
    while True:
        guard.look()
        await asyncio.sleep(0.02)


class TestReplay:
    def test_a_farewell_another_replay_and_other_instruments_do_not_hinder(
        self, settings: Settings, venue: str, first: Producer
    ) -> None:
        first.say(LIVE)
        first.say(STOPPED)
        first.say(LIVE, Source.REPLAY, "ETHUSDT")
        first.say(LIVE, symbol="SOLUSDT")
        first.say(LIVE, venue="binance")
        assert not replay_refused(settings, venue)

    def test_a_live_producer_is_not_hidden_by_what_others_said_later(
        self, settings: Settings, venue: str, first: Producer, second: Producer
    ) -> None:
        first.say(LIVE)
        second.say(LIVE, Source.REPLAY)
        second.say(STOPPED, Source.REPLAY)
        second.say(STOPPED)
        assert replay_refused(settings, venue)

        first.say(STOPPED)
        assert not replay_refused(settings, venue)

    def test_an_old_status_is_of_a_producer_that_is_gone(self, settings: Settings, venue: str, first: Producer) -> None:
        first.say(LIVE)
        in_a_minute = ManualClock(SystemClock().now_ns() + 61 * 10**9)
        with closing(StatusReader(settings, in_a_minute)) as reader:
            assert reader.recent() == {}
        refuse_where_live(settings, venue, ["BTCUSDT"], in_a_minute)
        assert replay_refused(settings, venue)


class TestLive:
    async def test_where_nobody_is_it_begins_at_once(self, settings: Settings, venue: str, first: Producer) -> None:
        first.say(LIVE)
        first.say(STOPPED)
        first.say(LIVE, Source.REPLAY)
        assert await seconds_to_stand_alone(settings, venue) < 5

    async def test_a_sign_of_life_refuses_it_whatever_the_epoch(
        self, settings: Settings, venue: str, first: Producer
    ) -> None:
        first.say(LIVE)
        with closing(guard_of(settings, venue)) as guard:
            waiting = asyncio.create_task(guard.stand_alone(asyncio.Event()))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await asyncio.to_thread(first.say, LIVE)
            with pytest.raises(UsageError, match=r"BTCUSDT of venue-.* is produced.*kafka\.topic_prefix"):
                await asyncio.wait_for(waiting, patient(5))

    async def test_a_farewell_lets_it_begin(self, settings: Settings, venue: str, first: Producer) -> None:
        first.say(LIVE)
        with closing(guard_of(settings, venue)) as guard:
            waiting = asyncio.create_task(guard.stand_alone(asyncio.Event()))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(first.say, STOPPED)
            await asyncio.wait_for(waiting, patient(5))

    async def test_one_that_was_killed_is_waited_for_until_it_has_been_silent_long_enough(
        self, settings: Settings, venue: str, first: Producer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guard_module, "SILENT_SECONDS", 0.5)
        first.say(LIVE)
        written = time.monotonic()
        await seconds_to_stand_alone(settings, venue)
        assert 0.45 <= time.monotonic() - written < 5

    async def test_whoever_stops_it_need_not_wait(self, settings: Settings, venue: str, first: Producer) -> None:
        first.say(LIVE)
        stop = asyncio.Event()
        stop.set()
        with closing(guard_of(settings, venue)) as guard:
            await asyncio.wait_for(guard.stand_alone(stop), patient(5))

    async def test_one_that_appears_later_is_warned_of_once_and_counted(
        self, settings: Settings, venue: str, first: Producer, second: Producer
    ) -> None:
        metrics = Metrics("producer")
        with (
            closing(guard_of(settings, venue, first.publisher.run, metrics)) as guard,
            structlog.testing.capture_logs() as logs,
        ):
            await guard.stand_alone(asyncio.Event())
            first.say(LIVE)  # our own word
            for state in (CONNECTING, LIVE, LIVE, STOPPED):
                second.say(state)
            second.say(LIVE, Source.REPLAY)
            second.say(LIVE, symbol="SOLUSDT")
            async with asyncio.timeout(patient(10)):
                while metrics.value("obflow_rival_statuses_total", venue=venue) < 3:
                    guard.look()
                    await asyncio.sleep(0.02)
            for _ in range(10):
                guard.look()
                await asyncio.sleep(0.02)

        assert metrics.value("obflow_rival_statuses_total", venue=venue) == 3
        assert [(line["event"], line["symbol"]) for line in logs] == [("another_producer", "BTCUSDT")]

    async def test_of_two_that_have_begun_the_later_one_gives_way(
        self, settings: Settings, venue: str, first: Producer, second: Producer
    ) -> None:
        with closing(guard_of(settings, venue, second.publisher.run)) as guard:
            await guard.stand_alone(asyncio.Event())
            first.say(CONNECTING)
            first.say(LIVE)
            with pytest.raises(UsageError, match=r"BTCUSDT of venue-.* is produced.*kafka\.topic_prefix"):
                await asyncio.wait_for(look_for_ever(guard), patient(10))


class TestClaim:
    async def test_of_those_that_claim_at_once_exactly_one_goes_on(self, settings: Settings, venue: str) -> None:
        producers = [Producer(settings, venue) for _ in range(3)]
        guards = [guard_of(settings, venue, one.publisher.run) for one in producers]

        async def start(guard: LiveGuard, producer: Producer) -> str:
            await guard.stand_alone(asyncio.Event())
            for symbol in ("BTCUSDT", "ETHUSDT"):
                await asyncio.to_thread(producer.say, CONNECTING, symbol=symbol)
            await guard.claim(producer.publisher, Source.LIVE, asyncio.Event())
            for symbol in ("BTCUSDT", "ETHUSDT"):  # as a feed does that begins
                await asyncio.to_thread(producer.say, LIVE, symbol=symbol)
            return "begun"

        try:
            async with asyncio.timeout(patient(60)):
                ends = await asyncio.gather(*map(start, guards, producers), return_exceptions=True)
        finally:
            for one in (*guards, *(producer.publisher for producer in producers)):
                one.close()

        assert ends.count("begun") == 1, ends
        assert sum(isinstance(end, UsageError) for end in ends) == 2, ends
        with closing(StatusReader(settings, SystemClock())) as reader:
            last = {seen.run: seen.status.state for seen in reader.recent().values() if seen.status.venue == venue}
        winner = producers[ends.index("begun")].publisher.run
        assert last == {one.publisher.run: LIVE if one.publisher.run == winner else STOPPED for one in producers}

    async def test_the_farewell_of_one_that_gives_way_stops_no_feed(
        self, settings: Settings, venue: str, first: Producer, second: Producer
    ) -> None:
        """No table holds it, so that nobody reads of a feed that stopped where another one goes on."""
        with closing(guard_of(settings, venue, second.publisher.run)) as guard:
            await guard.stand_alone(asyncio.Event())
            for producer in (first, second):
                for symbol in ("BTCUSDT", "ETHUSDT"):
                    producer.say(CONNECTING, symbol=symbol)
            with pytest.raises(UsageError, match="is produced into these topics"):
                await guard.claim(second.publisher, Source.LIVE, asyncio.Event())
        said = [one for one in read_topic(settings, FEED_STATUS) if one.venue == venue and one.state is STOPPED]

        assert sorted(one.symbol for one in said) == ["BTCUSDT", "ETHUSDT"]
        assert all(one.heartbeat and one.detail for one in said)

    async def test_whoever_stops_it_while_it_claims_need_not_wait(
        self, settings: Settings, venue: str, first: Producer
    ) -> None:
        stop = asyncio.Event()
        stop.set()
        with closing(guard_of(settings, venue, first.publisher.run)) as guard:
            await asyncio.wait_for(guard.claim(first.publisher, Source.LIVE, stop), patient(5))


class TestAdmit:
    """Instruments that come to a producer while it runs: what is listed later, what a lease gives."""

    async def admitted(self, settings: Settings, ours: Producer, share: str = "") -> tuple[list[str], int]:
        """Which of two instruments come to a producer that has none yet, and the highest epoch heard of one."""
        metrics, clock = Metrics("producer"), SystemClock()
        run = ours.publisher.run
        guard = LiveGuard(settings, ours.venue, [], run=run, clock=clock, metrics=metrics, share=share)
        with closing(guard):
            await guard.stand_alone(asyncio.Event())
            looking = asyncio.create_task(look_for_ever(guard))
            free = guard.free_of_rivals(["BTCUSDT", "ETHUSDT"])
            for symbol in free:  # no word of ours is read before it is to be admitted: nothing is waited for between
                ours.hand_over(CONNECTING, symbol=symbol)
            async with asyncio.timeout(patient(20)):
                found = await guard.admit(ours.publisher, Source.LIVE, free)
            looking.cancel()
            return sorted(found), guard.epoch_of("BTCUSDT")

    async def test_what_nobody_else_produces_is_admitted(self, settings: Settings, first: Producer) -> None:
        assert (await self.admitted(settings, first))[0] == ["BTCUSDT", "ETHUSDT"]

    async def test_what_somebody_else_produces_is_left_to_him(
        self, settings: Settings, first: Producer, second: Producer
    ) -> None:
        first.say(LIVE)
        assert (await self.admitted(settings, second))[0] == ["ETHUSDT"]

    async def test_whoever_shares_by_the_same_lease_is_no_rival_and_his_epoch_is_heard(
        self, settings: Settings, venue: str
    ) -> None:
        one, other = Producer(settings, venue, "group"), Producer(settings, venue, "group")
        with closing(one.publisher), closing(other.publisher):
            for _ in range(7):
                one.say(LIVE)
            assert await self.admitted(settings, other, "group") == (["BTCUSDT", "ETHUSDT"], 7)

    async def test_whoever_shares_by_another_lease_is_a_rival(self, settings: Settings, venue: str) -> None:
        one, other = Producer(settings, venue, "a group"), Producer(settings, venue, "another")
        with closing(one.publisher), closing(other.publisher):
            one.say(LIVE)
            assert (await self.admitted(settings, other, "another"))[0] == ["ETHUSDT"]
