"""The live feed without a network: what connections bring it, and what it does from time to time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
import pytest
import structlog

from obflow.metrics import Metrics
from producers.books.records import MAX_LEVELS, ProducerRecord
from producers.contract import MAX_FRAME_BYTES, Fetch
from producers.exchanges import EXCHANGES
from producers.live import snapshots
from producers.live.feed import LiveFeed
from producers.live.rest import RestClient
from producers.live.snapshots import BookRecovery
from producers.messages import Ack, BestQuote, Frame, Instrument, TradeTick, VenueNotice, Via
from producers.settings import ProducerSettings
from producers.simulator.contract import encode_event
from producers.simulator.events import MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.venues import simulated_venue
from schemas.errors import ExchangeUnreachable
from schemas.messages import DeadLetter, FeedState, FeedStatus, L2Record, Reason, ResyncRequest, TradeRecord
from tests.producers.l2_reader import books_of
from tests.support.manual_clock import ManualClock
from tests.support.patience import patient

START_NS = 1_704_067_200 * 10**9
VENUE = "binance-futures"


class Log:
    """A sink with room for so many."""

    def __init__(self, room: int = 10**6) -> None:
        self.room = room
        self.records: list[ProducerRecord] = []
        self.waiting = 0

    def offer(self, record: ProducerRecord) -> bool:
        if len(self.records) >= self.room:
            return False
        self.records.append(record)
        return True


class Tape:
    """A tap that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[tuple[Via, str, str]] = []

    def write(self, frame: Frame) -> None:
        self.lines.append((frame.via, frame.connection, frame.request))


class Bench:
    """A feed of some instruments on a simulated venue, by hand."""

    def __init__(
        self,
        *symbols: str,
        room: int = 10**6,
        venue: str = VENUE,
        seed: int = 2,
        every_s: dict[Fault, float] | None = None,
        **settings: Any,
    ) -> None:
        self.exchange = EXCHANGES[venue]
        self.clock = ManualClock(START_NS)
        self.venue = SimulatedExchange(
            simulated_venue(venue),
            symbols[:2],
            seed=seed,
            start_ns=START_NS,
            changes_per_second=100.0,
            faults_every_s=every_s,
        )
        self.sink, self.tape, self.metrics = Log(room), Tape(), Metrics("producer")
        self.outdated = False
        self.feed = LiveFeed(
            self.exchange,
            {symbol: Instrument(venue, symbol, *self.grid(symbol)) for symbol in symbols},
            ProducerSettings(**settings),
            clock=self.clock,
            metrics=self.metrics,
            sink=self.sink,
            is_outdated=lambda _: self.outdated,
            tap=self.tape.write,
        )

    def open(self) -> None:
        self.source = self.feed.connect("ws://x")
        self.connection = next(iter(self.source.connections.values()))
        self.change(Via.CONNECT)

    def change(self, via: Via) -> None:
        """The connection stands, or is lost."""
        self.feed.handle(Frame(self.clock.now_ns(), via, self.connection.name))

    def give(self, connection: str, raw: bytes) -> Sequence[VenueNotice]:
        return self.feed.handle(Frame(self.clock.now_ns(), Via.WS, connection, raw=raw))

    def grid(self, symbol: str) -> tuple[str, str]:
        spec = self.venue.specs.get(symbol)
        return (spec.tick_size, spec.lot_size) if spec else ("0.1", "0.001")

    def frames(self, seconds: float) -> list[bytes]:
        self.clock.advance(seconds)
        items = self.venue.advance(self.clock.now_ns())
        return [encode_event(self.venue.venue, item).encode() for item in items if isinstance(item, MarketEvent)]

    def receive(self, seconds: float) -> None:
        """Let time pass on a connection that comes back at once where it is lost."""
        self.clock.advance(seconds)
        for item in self.venue.advance(self.clock.now_ns()):
            if isinstance(item, MarketEvent):
                self.give(self.connection.name, encode_event(self.venue.venue, item).encode())
            else:
                self.change(Via.DISCONNECT)
                self.change(Via.CONNECT)

    def answer(self, symbol: str) -> bytes:
        fetch = self.exchange.recover(symbol)
        assert isinstance(fetch, Fetch)
        return self.venue.get(fetch.path).body.encode()

    def fetch(self, symbol: str, body: bytes = b"") -> None:
        fetch = self.exchange.recover(symbol)
        assert isinstance(fetch, Fetch)
        body = body or self.answer(symbol)
        self.feed.handle(Frame(self.clock.now_ns(), Via.REST, self.connection.name, fetch.path, body))

    def check_live_books(self) -> int:
        """How many books are LIVE; each of their levels is the venue's own."""
        live = 0
        for symbol, stream in self.feed.router.streams.items():
            if stream.is_live:
                live += 1
                true = self.venue.true_book(symbol, stream.tracked.sequence)
                bid_ticks, bid_lots, ask_ticks, ask_lots = stream.book.arrays()
                assert dict(zip(bid_ticks, bid_lots, strict=True)).items() <= dict(true.bids).items()
                assert dict(zip(ask_ticks, ask_lots, strict=True)).items() <= dict(true.asks).items()
        return live

    def go_live(self, symbol: str) -> None:
        self.open()
        self.receive(0.35)
        self.fetch(symbol)
        self.receive(0.3)

    def checked(self, outcome: str) -> float:
        """Comparisons with the venue's quotes, as the metrics page shows them."""
        return self.metrics.value("obflow_quote_checks_total", venue=VENUE, outcome=outcome)

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.sink.records if type(record) is kind]


def test_a_feed_goes_live_once_a_snapshot_is_bridged() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")

    assert bench.feed.router.streams["BTCUSDT"].is_live
    assert [str(record.kind) for record in bench.of(L2Record)][:2] == ["snapshot", "delta"]
    assert [status.state for status in bench.of(FeedStatus)] == [FeedState.AWAITING_SNAPSHOT, FeedState.LIVE]
    vias = [via for via, _, _ in bench.tape.lines]
    assert vias[0] is Via.CONNECT
    assert vias.count(Via.REST) == 1


def test_what_is_told_besides_data_is_given_back() -> None:
    bench = Bench("BTCUSDT")
    bench.open()

    assert bench.give("c", b'{"result":null,"id":4}') == [Ack("4")]


def test_instruments_are_spread_over_connections_by_the_venues_limit() -> None:
    symbols = [f"C{number}USDT" for number in range(150)]
    connections = Bench(*symbols).feed.connect("ws://x/").book_connections
    carried = [symbol for connection in connections for symbol in connection.symbols]

    assert carried == symbols
    assert max(len(connection.symbols) for connection in connections) == 66  # of three streams each; 200 a connection
    assert len({connection.name for connection in connections}) == 3


def test_what_is_told_of_derivatives_comes_over_connections_of_its_own() -> None:
    source = Bench(*(f"C{number}USDT" for number in range(250))).feed.connect("ws://x/")
    beside = [each for each in source.connections.values() if each not in source.book_connections]

    assert [len(connection.symbols) for connection in beside] == [200, 50]
    assert all(connection.url == "ws://x/market/stream" for connection in beside)
    assert len(Bench("BTCUSDT", derivatives=False).feed.connect("ws://x").connections) == 1


def test_what_comes_back_is_carried_by_the_connections_that_lost_it() -> None:
    source = Bench("BTCUSDT").feed.connect("ws://x/")
    before = dict(source.connections)
    for _ in range(3):
        source.unsubscribe("BTCUSDT")
        source.add(["BTCUSDT"])

    assert source.connections == before
    assert [connection.symbols for connection in before.values()] == [("BTCUSDT",), ("BTCUSDT",)]


def test_names_of_connections_differ_from_run_to_run() -> None:
    """Else the dead letters of two runs would be taken for the same letters."""
    bench = Bench("BTCUSDT")
    first = set(bench.feed.connect("ws://x").connections)
    bench.clock.advance(1)

    assert first.isdisjoint(bench.feed.connect("ws://x").connections)


def test_a_frame_too_large_to_be_received_is_dead_lettered_without_its_payload() -> None:
    bench = Bench("BTCUSDT")
    bench.feed.on_oversized("c1")
    bench.feed.on_oversized("c1")
    letters = bench.of(DeadLetter)

    assert [letter.reason for letter in letters] == ["FrameTooLarge"] * 2
    assert len({letter.letter_id for letter in letters}) == 2
    assert bench.feed.router.rejected["FrameTooLarge"] == 2


def test_a_frame_beyond_the_bound_is_dead_lettered_with_the_payload_cut() -> None:
    bench = Bench("BTCUSDT", max_frame_bytes=100_000)
    bench.open()
    bench.give("c1", b"x" * 100_001)
    (letter,) = bench.of(DeadLetter)

    assert (letter.reason, letter.payload_bytes, len(letter.payload)) == ("FrameTooLarge", 100_001, 64 * 1024)


def test_an_update_larger_than_any_record_is_dead_lettered_and_costs_one_resync() -> None:
    """Within the bound of a frame, beyond that of the broker: live, it costs one resync of one instrument."""
    bench = Bench("BTCUSDT", "ETHUSDT")
    bench.go_live("BTCUSDT")
    bench.fetch("ETHUSDT")
    bench.receive(0.3)
    stream = bench.feed.router.streams["BTCUSDT"]
    last = stream.tracked.sequence
    update = {"e": "depthUpdate", "E": 1, "T": 1, "s": "BTCUSDT", "U": last + 1, "u": last + 2, "pu": last}
    levels = [[f"{number / 10:.1f}", "0.001"] for number in range(1, MAX_LEVELS + 2)]
    frame = msgspec.json.encode({"stream": "btcusdt@depth@100ms", "data": {**update, "b": levels, "a": []}})
    assert len(frame) < MAX_FRAME_BYTES
    bench.give(bench.connection.name, frame)
    (letter,) = bench.of(DeadLetter)

    assert (letter.reason, letter.symbol, letter.role) == ("FrameTooLarge", "BTCUSDT", "producer")
    assert letter.error.startswith(f"a message of {MAX_LEVELS + 1} levels; a record holds {MAX_LEVELS}")
    assert (letter.payload, letter.payload_bytes) == (frame[: 64 * 1024], len(frame))
    assert not stream.is_live
    assert bench.feed.router.streams["ETHUSDT"].is_live
    bench.receive(0.2)
    bench.fetch("BTCUSDT")
    bench.receive(0.3)
    assert stream.is_live
    books = books_of(bench.of(L2Record))
    assert (books["BTCUSDT"].invalid, books["BTCUSDT"].broken) == (["bad_input"], [])
    assert (books["ETHUSDT"].invalid, books["ETHUSDT"].broken) == ([], [])


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"\xff\xfe", b"null", b"[]", b'{"stream":"x"}', b"{" * 10_000, b'{"e":"?"}']
)
def test_a_frame_that_is_none_never_ends_the_feed(frame: bytes) -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    bench.give("c1", frame)
    bench.receive(0.3)

    assert len(bench.of(DeadLetter)) == 1
    assert bench.feed.router.streams["BTCUSDT"].is_live, "no update of the book was lost"


def test_a_snapshot_that_arrives_during_an_overload_is_left_alone() -> None:
    """Its records would be shed; it is asked for again once there is room."""
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    bench.sink.room = len(bench.sink.records)
    bench.receive(0.2)
    stream = bench.feed.router.streams["BTCUSDT"]
    assert stream.needs_snapshot is Reason.OVERLOAD
    assert not bench.feed.has_room("BTCUSDT"), "whoever fetches it leaves it alone"

    bench.sink.room = 10**6
    bench.feed.request_snapshots()
    bench.fetch("BTCUSDT")
    bench.receive(0.2)
    assert stream.is_live
    kinds = [str(record.kind) for record in bench.of(L2Record)]
    assert kinds.count("invalid") == 1
    assert kinds.count("snapshot") == 2


class Refused:
    """Comes by no book that is lacking, and notes the others that it is asked for."""

    def __init__(self) -> None:
        self.beside: list[str] = []

    def note_live(self, symbol: str) -> None:
        """Nothing to note."""

    def request(self, symbol: str) -> bool:
        return False

    def request_beside(self, symbol: str) -> None:
        self.beside.append(symbol)


def test_a_book_that_cannot_be_had_keeps_no_other_from_being_compared() -> None:
    bench, recovery = Bench("BTCUSDT", "ETHUSDT"), Refused()
    bench.go_live("BTCUSDT")
    bench.feed.recover_with(recovery)  # type: ignore[arg-type] # what is used of it
    bench.receive(0.2)
    assert bench.feed.router.streams["ETHUSDT"].needs_snapshot
    bench.clock.advance(601.0)
    bench.feed.request_snapshots()
    assert recovery.beside == ["BTCUSDT"]


def test_only_books_that_need_a_snapshot_are_fetched_and_only_once() -> None:
    bench = Bench("BTCUSDT", "ETHUSDT")
    asked: list[Coroutine[Any, Any, None]] = []

    def spawn(coroutine: Coroutine[Any, Any, None]) -> Any:
        asked.append(coroutine)
        return object()

    bench.open()
    bench.feed.recover_with(BookRecovery(bench.exchange, None, bench.source, bench.feed.has_room, spawn))  # type: ignore[arg-type]
    bench.feed.request_snapshots()
    assert asked == [], "before the first update no snapshot can be bridged"
    for frame in bench.frames(0.25):
        if b"btcusdt" in frame:
            bench.give("c1", frame)
    bench.feed.request_snapshots()
    bench.feed.request_snapshots()
    assert len(asked) == 1
    asked[0].close()


class Away:
    """A REST interface that is away for some requests, and then answers them."""

    max_bytes = MAX_FRAME_BYTES

    def __init__(self, body: bytes, failures: int) -> None:
        self.asked, self._body, self._failures = 0, body, failures

    async def get(self, _: Fetch) -> bytes:
        self.asked += 1
        if self.asked <= self._failures:
            raise ExchangeUnreachable("it is away", next_step="wait")
        return self._body


async def test_a_book_that_a_new_part_begins_with_is_asked_for_until_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "OWED_SECONDS", 0.001)
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    client, tasks = Away(bench.answer("BTCUSDT"), failures=3), list[asyncio.Task[None]]()

    def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(coroutine))
        return tasks[-1]

    async def answer(*_: object) -> list[VenueNotice]:
        return []

    monkeypatch.setattr(bench.source, "answer", answer)
    bench.feed.recover_with(BookRecovery(bench.exchange, client, bench.source, bench.feed.has_room, spawn))  # type: ignore[arg-type]
    bench.feed.ask_for_books()
    async with asyncio.timeout(patient(10)):
        while client.asked < 4:
            await asyncio.gather(*tasks)
            bench.feed.request_snapshots()
            await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    bench.feed.request_snapshots()
    assert all(task.done() for task in tasks), "it came: nobody asks for it again"
    assert client.asked == 4


def test_requests_of_other_producers_instruments_are_theirs() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    before = len(bench.sink.records)
    bench.feed.on_requests([ResyncRequest(VENUE, "ETHUSDT", Reason.GAP, 1, 0, 0)], [])
    assert len(bench.sink.records) == before

    bench.feed.on_requests([ResyncRequest(VENUE, "BTCUSDT", Reason.GAP, 1, 0, 0)], [])
    assert str(bench.sink.records[-1].kind) == "snapshot"  # type: ignore[union-attr]
    bench.outdated = True
    before = len(bench.sink.records)
    bench.feed.on_requests([ResyncRequest(VENUE, "BTCUSDT", Reason.GAP, 1, 0, 0)], [])
    assert len(bench.sink.records) == before


def test_heartbeats_notice_silence_and_the_end_is_told() -> None:
    bench = Bench("BTCUSDT", stale_seconds=2.0)
    assert bench.feed.heartbeat_seconds == 1.0
    bench.go_live("BTCUSDT")
    bench.feed.send_heartbeats()
    bench.clock.advance(3)
    bench.feed.send_heartbeats()
    bench.feed.stop()
    told = [(status.state, status.heartbeat) for status in bench.of(FeedStatus)]

    assert told[-3:] == [(FeedState.LIVE, True), (FeedState.STALE, False), (FeedState.STOPPED, False)]


def test_what_was_counted_is_shown() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    bench.give("c1", b"{")
    bench.feed.publish_metrics()
    metrics = bench.metrics

    assert metrics.value("obflow_rejected_total", reason="DecodeError") == 1
    assert metrics.value("obflow_dead_lettered_total", reason="DecodeError") == 1
    assert metrics.value("obflow_books", state="live") == 1
    assert metrics.value("obflow_connections_total", venue=VENUE) == 1
    assert metrics.value("obflow_received_total", source=VENUE) > 20


def test_trades_beside_the_grid_and_headers_that_cannot_be_meant_are_shown() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    stream = bench.feed.router.streams["BTCUSDT"]
    stream.on_trade(TradeTick("BTCUSDT", "1", "61800.00000000000001", "0.001", True), bench.clock.now_ns())
    client = RestClient(bench.exchange, "http://127.0.0.1:1", 1)
    source = bench.feed.connect("ws://x", client.gate)
    bench.feed.recover_with(BookRecovery(bench.exchange, client, source, bench.feed.has_room, lambda _: None))  # type: ignore[arg-type, return-value]
    client.ignored["retry_after"] += 3
    bench.feed.publish_metrics()
    bench.feed.publish_metrics()

    assert bench.metrics.value("obflow_trades_off_grid_total", venue=VENUE) == 1
    assert bench.metrics.value("obflow_ignored_total", reason="retry_after") == 3


def test_quotes_of_the_venue_confirm_the_book() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    bench.receive(5)
    check = bench.feed.router.streams["BTCUSDT"].quotes

    assert check.checked > 30
    assert check.wrong == 0
    bench.feed.publish_metrics()
    assert bench.checked("right") == check.checked
    assert bench.checked("wrong") == bench.checked("same") == bench.checked("different") == 0


def test_a_book_that_the_venues_quotes_contradict_is_counted_where_operators_look() -> None:
    bench = Bench("BTCUSDT")
    bench.go_live("BTCUSDT")
    stream = bench.feed.router.streams["BTCUSDT"]
    wrong = BestQuote("BTCUSDT", "1.0", "1.000", "2.0", "1.000", stream.tracked.sequence)
    stream.on_quote(wrong, bench.clock.now_ns())
    bench.receive(1)
    bench.feed.publish_metrics()
    bench.feed.publish_metrics()

    assert bench.checked("wrong") == stream.quotes.wrong > 0
    assert bench.checked("right") == stream.quotes.checked - stream.quotes.wrong > 0

    unnumbered = BestQuote("BTCUSDT", "1.0", "1.000", "2.0", "1.000")
    stream.on_quote(unnumbered, bench.clock.now_ns())
    bench.receive(0.3)
    bench.feed.publish_metrics()
    assert bench.checked("different") == stream.quotes.different > 0


def test_a_book_is_stale_once_its_depth_is_silent_while_trades_and_quotes_go_on() -> None:
    bench = Bench("BTCUSDT", stale_seconds=5.0)
    bench.go_live("BTCUSDT")
    stream = bench.feed.router.streams["BTCUSDT"]
    before = stream.counters.trades
    for _ in range(6):
        for frame in bench.frames(1.0):
            if b"@depth" not in frame:
                bench.give("c1", frame)
        bench.feed.send_heartbeats()
    bench.feed.publish_metrics()

    assert stream.counters.trades > before
    assert bench.of(FeedStatus)[-1].state is FeedState.STALE
    assert bench.metrics.value("obflow_books", state="stale") == 1


@pytest.mark.parametrize("venue_id", ["binance-futures", "binance"])
@pytest.mark.parametrize("seed", range(2))
def test_under_all_faults_at_once_a_reader_is_never_surprised_and_its_books_are_true(venue_id: str, seed: int) -> None:
    """Half a minute of gaps, repeats, disorder, broken frames and lost connections; snapshots that take their time."""
    bench = Bench("BTCUSDT", "ETHUSDT", venue=venue_id, seed=seed, every_s=dict.fromkeys(Fault, 1.5))
    bench.open()
    answers: list[tuple[int, str, bytes]] = []
    true_checks = 0
    for number in range(300):
        for symbol, stream in bench.feed.router.streams.items():
            if stream.needs_snapshot and not any(waiting == symbol for _, waiting, _ in answers):
                answers.append((bench.clock.now_ns() + 250_000_000, symbol, bench.answer(symbol)))
        bench.receive(0.1)
        for _, symbol, body in [item for item in answers if item[0] <= bench.clock.now_ns()]:
            bench.fetch(symbol, body)
        answers = [item for item in answers if item[0] > bench.clock.now_ns()]
        true_checks += bench.check_live_books() if number % 4 == 0 else 0
    books = books_of(bench.of(L2Record))

    assert true_checks > 40
    for symbol, book in books.items():
        assert book.broken == []
        assert {"gap", "disconnect"} <= set(book.invalid)
        assert bench.feed.router.streams[symbol].quotes.wrong == 0
    assert bench.feed.router.rejected["DecodeError"] == len(bench.of(DeadLetter)) > 0


def test_the_way_from_the_venue_is_measured_of_one_message_a_tick() -> None:
    bench = Bench("BTCUSDT")
    bench.open()
    name, venue = "obflow_exchange_latency_seconds_count", {"venue": VENUE}
    bench.feed.request_snapshots()
    for raw in bench.frames(2.0):
        bench.give(bench.connection.name, raw)
    assert bench.metrics.registry.get_sample_value(name, venue) == 1

    bench.feed.request_snapshots()
    for raw in bench.frames(1.0):
        bench.give(bench.connection.name, raw)
    assert bench.metrics.registry.get_sample_value(name, venue) == 2


def test_a_connection_that_ends_is_counted_and_is_no_connection() -> None:
    bench = Bench("BTCUSDT")
    bench.feed.publish_metrics()
    assert not bench.metrics.health.ready()[0]
    bench.open()
    bench.change(Via.DISCONNECT)
    bench.feed.publish_metrics()

    assert bench.metrics.value("obflow_disconnects_total", venue=VENUE) == 1
    assert f"2 of 2 connections to {VENUE} are lost" in str(bench.metrics.health.ready()[1])


def test_a_field_that_the_venue_adds_is_said_once_and_counted() -> None:
    bench = Bench("BTCUSDT")
    bench.open()
    with structlog.testing.capture_logs() as told:
        for raw in bench.frames(2.0):
            body = json.loads(raw)
            body["data"] = {"new\nfield": 7, **body["data"]}
            bench.give(bench.connection.name, json.dumps(body).encode())
    bench.feed.publish_metrics()

    said = [line for line in told if line["event"] == "frame_field"]
    kinds = [line["kind"] for line in said]
    assert sorted(kinds) == sorted(set(kinds)), "once a kind"
    assert {line["field"] for line in said} == {"data.new\nfield"}
    labels = {"venue": VENUE, "field": "depth:data.new\nfield", "change": "new"}
    assert bench.metrics.value("obflow_frame_fields_total", **labels) > 1


async def test_after_a_clock_is_set_back_a_frame_has_the_time_of_its_records() -> None:
    bench = Bench("BTCUSDT")
    bench.open()
    bench.feed.look()
    [raw, *_] = [one for one in bench.frames(2.0) if b'"trade"' in one]
    bench.feed.look()
    looked_ns = bench.clock.now_ns()
    bench.clock.step_wall(-1.5)
    await bench.source.enqueue(Via.WS, bench.connection.name, raw)
    frame = await anext(bench.source.frames())
    bench.feed.handle(frame)
    [trade] = [one for one in bench.sink.records if isinstance(one, TradeRecord)]

    assert frame.received_ns == trade.received_ns == looked_ns
