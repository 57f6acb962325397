"""Several recordings as one stream in order of time, into a stand-in for the broker."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest

from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.books.records import ProducerRecord
from producers.broker.publisher import Publisher
from producers.exchanges import EXCHANGES
from producers.recordings import merged
from producers.recordings.merged import MergedReplay
from producers.recordings.replay import Replay, ReplayPlan
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording_files import write_recording
from producers.simulator.venues import simulated_venue
from schemas.codec import decode
from schemas.messages import FeedState, FeedStatus, L2Record, TradeRecord
from tests.integration.advising import TIMES, refused
from tests.producers.fake_kafka import FakeClient, Sent
from tests.producers.l2_reader import books_of
from tests.producers.tardis_data import L2_HEADER, TRADES_HEADER, Market, as_rows, write_dataset
from tests.support.manual_clock import ManualClock

NOW_NS = 1_800_000_000 * 10**9
SOLD = (("binance-futures", "binance-futures", "BTCUSDT"), ("okex-swap", "okx", "BTC-USDT-SWAP"))


def datasets(folder: Path, exchange: str, venue: str, symbol: str, seconds: float = 3.0) -> tuple[Path, Path]:
    """Books and trades of a simulated market, as Tardis sells them."""
    said = Market(exchange, venue, (symbol,), seconds).said
    books = [row for one in said if one.trade is None for row in as_rows(exchange, one)]
    trades = [row for one in said if one.trade is not None for row in as_rows(exchange, one)]
    return (
        write_dataset(folder / f"{exchange}_incremental_book_L2_2023-11-14_{symbol}.csv", L2_HEADER, books),
        write_dataset(folder / f"{exchange}_trades_2023-11-14_{symbol}.csv", TRADES_HEADER, trades),
    )


def part(venue: str, files: tuple[Path, ...], clock: ManualClock) -> Replay:
    return Replay(files, EXCHANGES[venue], ReplayPlan(), clock, joined=True)


def published(client: FakeClient, replay: Replay | MergedReplay, clock: ManualClock) -> list[ProducerRecord]:
    """What reaches the broker."""
    client.log.clear()
    publisher = Publisher(Settings(), Metrics("replay"), clock.now_ns, each_report=False)
    replay.run(publisher, Event(), flush_seconds=1)
    return [decode(sent.value()) for sent in client.log]  # type: ignore[misc]


def of_instrument(records: list[ProducerRecord], symbol: str) -> list[ProducerRecord]:
    return [record for record in records if record.symbol == symbol]


def test_what_is_merged_comes_in_order_of_time_and_is_what_each_is_by_itself(
    client: FakeClient, tmp_path: Path
) -> None:
    clock = ManualClock(NOW_NS)
    files = {symbol: (venue, datasets(tmp_path, name, venue, symbol)) for name, venue, symbol in SOLD}
    parts = [part(*one, clock) for one in files.values()]
    together = published(client, MergedReplay(parts, None, clock), clock)

    times = [record.received_ns for record in together if isinstance(record, L2Record | TradeRecord)]
    assert times == sorted(times)
    changes = [record.symbol for record in together if isinstance(record, L2Record)]
    turns = sum(earlier != later for earlier, later in pairwise(changes))
    assert turns > 20, "neither waits for the other's end"
    for symbol, one in files.items():
        assert of_instrument(together, symbol) == published(client, part(*one, clock), clock)
    assert all(
        book.live and not book.broken for book in books_of([r for r in together if isinstance(r, L2Record)]).values()
    )


@pytest.mark.parametrize(("name", "venue", "symbol"), SOLD)
def test_trades_are_part_of_the_update_that_they_led_to(
    client: FakeClient, tmp_path: Path, name: str, venue: str, symbol: str
) -> None:
    clock = ManualClock(NOW_NS)
    books, trades = datasets(tmp_path, name, venue, symbol)
    joined = published(client, part(venue, (books, trades), clock), clock)
    alone = published(client, part(venue, (books,), clock), clock)

    traded = [record for record in joined if isinstance(record, TradeRecord)]
    carried = sum(len(record.trade_ticks) for record in joined if isinstance(record, L2Record))
    assert 0 < carried <= len(traded)
    assert carried >= len(traded) - 20, "but for those before the first book and behind the last update"
    levels = [
        (record.sequence, record.bid_ticks, record.ask_ticks) for record in joined if isinstance(record, L2Record)
    ]
    assert levels == [(r.sequence, r.bid_ticks, r.ask_ticks) for r in alone if isinstance(r, L2Record)]
    ends = [record.state for record in joined if isinstance(record, FeedStatus)]
    assert ends.count(FeedState.STOPPED) == 1, "one feed, and not one of books beside one of trades"


@pytest.mark.advice(
    "play one after the other, with a command for each",
    "name fewer symbols, and the others with a second command",
    "play it by itself",
)
def test_the_same_instrument_in_two_files_and_too_many_files_are_refused(
    client: FakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(NOW_NS)
    books, trades = datasets(tmp_path, *SOLD[0], seconds=0.5)
    twice = [part("binance-futures", (path,), clock) for path in (books, trades)]
    refused(lambda: MergedReplay(twice, None, clock), "play one after the other, with a command for each")
    monkeypatch.setattr(merged, "MOST_FILES", 1)
    both = [part("binance-futures", (books, trades), clock)]
    refused(lambda: MergedReplay(both, None, clock), "name fewer symbols, and the others with a second command")
    recording = tmp_path / "a.frames.jsonl.gz"
    market = SimulatedExchange(simulated_venue("binance-futures"), ["BTCUSDT"], start_ns=NOW_NS, changes_per_second=50)
    write_recording(market, recording, 1.0, seed=0, rate=50, faults=False)
    refused(lambda: part("binance-futures", (books, recording), clock), "play it by itself")
    for _ in range(TIMES):
        for venue, path in (("binance-futures", books), ("binance-futures", trades), ("binance-futures", recording)):
            assert published(client, MergedReplay([part(venue, (path,), clock)], None, clock), clock)


class Nothing(list[Sent]):
    """A log that keeps nothing."""

    def append(self, _: Sent) -> None:
        pass


def test_memory_does_not_grow_with_what_is_merged(client: FakeClient, tmp_path: Path) -> None:
    client.log = Nothing()

    def peak(seconds: float) -> int:
        clock, folder = ManualClock(NOW_NS), tmp_path / str(seconds)
        folder.mkdir()
        parts = [part(venue, datasets(folder, name, venue, symbol, seconds), clock) for name, venue, symbol in SOLD]
        publisher = Publisher(Settings(), Metrics("replay"), clock.now_ns, each_report=False)
        tracemalloc.start()
        MergedReplay(parts, None, clock).run(publisher, Event(), flush_seconds=1)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(4.0) < 1.5 * peak(1.0)
