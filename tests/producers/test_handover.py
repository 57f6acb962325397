"""Two connections bring one instrument for a while: the chain goes on, nothing is lost and nothing comes twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from producers.books.handover import AFTER_NS, LONGEST_AHEAD_NS
from producers.books.router import FrameRouter
from producers.contract import Fetch
from producers.exchanges import EXCHANGES
from producers.messages import Frame, Instrument, Via
from producers.simulator.contract import encode_event
from producers.simulator.events import MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.venues import simulated_venue
from schemas.messages import FeedStatus, Kind, L2Record, TradeRecord
from tests.bazaar.venue import BAZAAR

START_NS = 1_704_067_200 * 10**9
MS = 1_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
CUTS = 30
FOREVER = 2**62


class Line:
    """What a connection brings: each event so long after it left the venue, from its subscription to its end."""

    def __init__(self, name: str, begin_ns: int, end_ns: int, lag_ns: int) -> None:
        self.name, self.begin_ns, self.end_ns, self.lag_ns = name, begin_ns, end_ns, lag_ns

    def frames(self, events: Sequence[tuple[int, bytes]]) -> Iterator[Frame]:
        yield Frame(self.begin_ns - 10 * MS, Via.CONNECT, self.name)
        for sent_ns, raw in events:
            if self.begin_ns <= sent_ns < self.end_ns:
                yield Frame(sent_ns + self.lag_ns, Via.WS, self.name, raw=raw)
        if self.end_ns < FOREVER:
            yield Frame(self.end_ns + self.lag_ns + MS, Via.DISCONNECT, self.name)


class Market:
    """A simulated venue's events, and its books at the beginning."""

    def __init__(self, venue: str, seconds: float, seed: int) -> None:
        self.exchange = EXCHANGES[venue]
        simulated = SimulatedExchange(
            simulated_venue(venue), SYMBOLS, seed=seed, start_ns=START_NS, changes_per_second=30.0
        )
        self.instruments = {
            symbol: Instrument(venue, symbol, spec.tick_size, spec.lot_size) for symbol, spec in simulated.specs.items()
        }
        self.events: list[tuple[int, bytes]] = []
        self._take(simulated, START_NS + 500 * MS)
        self.books = []
        for symbol in SYMBOLS:
            fetch = self.exchange.recover(symbol)
            assert isinstance(fetch, Fetch)
            body = simulated.get(fetch.path).body.encode()
            self.books.append(Frame(START_NS + 501 * MS, Via.REST, "c", fetch.path, body))
        self._take(simulated, START_NS + int(seconds * 1000) * MS)

    def _take(self, simulated: SimulatedExchange, to_ns: int) -> None:
        for item in simulated.advance(to_ns):
            if isinstance(item, MarketEvent):
                self.events.append((item.sent_ns, encode_event(simulated.venue, item).encode()))

    def run(self, lines: Sequence[Line]) -> tuple[FrameRouter, list[object]]:
        """What a producer makes of these connections."""
        frames = [frame for line in lines for frame in line.frames(self.events)]
        frames = sorted([*frames, *self.books], key=lambda frame: frame.received_ns)
        router, records = FrameRouter(self.exchange, self.instruments), []
        router.assign("c", SYMBOLS)
        for frame in frames:
            records += router.handle(frame).records
        return router, records


def books(records: Sequence[object]) -> list[L2Record]:
    """Each instrument's book in its order, but for when it came here and for what came with it of other channels."""
    same = sorted((record for record in records if isinstance(record, L2Record)), key=lambda record: record.symbol)
    return [
        replace(record, received_ns=0, trade_ticks=[], trade_lots=[], quote_flow_lots=None, quote_events=0)
        for record in same
    ]


def digest(records: Sequence[object]) -> str:
    return digest_of(books(records))


def digest_of(what: object) -> str:
    """A short sign of something long, which a failed test would take minutes to print."""
    return sha256(msgspec.json.encode(what)).hexdigest()


def quotes(records: Sequence[object]) -> Counter[str]:
    """How many updates of its best quotes came with each instrument's records, copies apart."""
    return Counter(
        {
            symbol: sum(
                record.quote_events for record in records if isinstance(record, L2Record) and record.symbol == symbol
            )
            for symbol in SYMBOLS
        }
    )


def trades(records: Sequence[object]) -> list[tuple[str, str]]:
    return sorted((record.symbol, record.trade_id) for record in records if isinstance(record, TradeRecord))


def lines_of(seconds: float, cuts: int, random: Random) -> list[Line]:
    """Connections that take over from each other, each with a delay of its own."""
    each_ns = int(seconds * 1000) * MS // (cuts + 1)
    begins = [START_NS + each_ns * number + random.randrange(100) * MS for number in range(cuts + 1)]
    begins[0] = START_NS
    overlap_ns = [random.randrange(250, 600) * MS for _ in begins]
    ends = [begin + overlap for begin, overlap in zip(begins[1:], overlap_ns, strict=False)] + [FOREVER]
    names = ["c", *(f"c~{number}" for number in range(2, cuts + 2))]
    lags = [0, *(random.randrange(200) * MS for _ in names[1:])]
    return [Line(*one) for one in zip(names, begins, ends, lags, strict=True)]


@pytest.mark.parametrize("venue", ["binance", "binance-futures"])
def test_thirty_announced_ends_leave_the_books_as_an_uncut_run_has_them(venue: str) -> None:
    market = Market(venue, 30.0, seed=4)
    _, uncut = market.run([Line("c", START_NS, FOREVER, 0)])
    lines = lines_of(30.0, CUTS, Random(5))
    router, cut = market.run(lines)

    assert len(lines) == CUTS + 1
    live = [record for record in books(cut) if record.kind is not Kind.SNAPSHOT]
    assert len(live) > 300
    assert sum(record.kind is Kind.INVALID for record in live) == 0
    assert {record.epoch for record in books(cut)} == {record.epoch for record in books(uncut)}
    assert digest(cut) == digest(uncut)
    assert len(trades(cut)) == len(set(trades(cut)))
    assert set(trades(cut)) == set(trades(uncut))
    assert quotes(cut) == quotes(uncut)
    assert sum(stream.counters.duplicates for stream in router.streams.values()) > CUTS
    assert sum(stream.counters.gaps for stream in router.streams.values()) == 0
    states = [record for record in cut if isinstance(record, FeedStatus)]
    assert len(states) == len([record for record in uncut if isinstance(record, FeedStatus)])


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from(["binance", "binance-futures"]))
def test_whichever_connection_is_ahead_nothing_is_lost_and_nothing_comes_twice(seed: int, venue: str) -> None:
    market = Market(venue, 6.0, seed=seed % 3)
    _, uncut = market.run([Line("c", START_NS, FOREVER, 0)])
    _, cut = market.run(lines_of(6.0, 3, Random(seed)))

    assert digest(cut) == digest(uncut)
    assert digest_of(trades(cut)) == digest_of(trades(uncut))
    assert quotes(cut) == quotes(uncut)


def test_what_both_connections_lost_is_a_gap_all_the_same() -> None:
    market = Market("binance-futures", 6.0, seed=1)
    lost = [
        number
        for number, (sent_ns, raw) in enumerate(market.events)
        if b"@depth" in raw and sent_ns > START_NS + 2_500 * MS
    ]
    del market.events[lost[0]]
    first = Line("c", START_NS, FOREVER, 0)
    router, records = market.run([first, Line("c~2", START_NS + 2_000 * MS, FOREVER, 30 * MS)])

    invalid = [record for record in books(records) if record.kind is Kind.INVALID]
    assert [str(record.reason) for record in invalid][:1] == ["gap"]
    assert sum(stream.counters.gaps for stream in router.streams.values()) >= 1
    assert LONGEST_AHEAD_NS < 3_000 * MS < AFTER_NS


def test_an_end_that_comes_before_the_successor_stands_is_a_lost_connection() -> None:
    market = Market("binance-futures", 4.0, seed=1)
    first = Line("c", START_NS, START_NS + 2_000 * MS, 0)
    _, records = market.run([first, Line("c~2", START_NS + 2_100 * MS, FOREVER, 0)])

    assert [str(record.reason) for record in books(records) if record.kind is Kind.INVALID] == ["disconnect"] * 2


def book(number: int, *, whole: bool) -> bytes:
    bids = f'[["{100 + number}","1"]]' if whole else "[]"
    sides = f'"bids":{bids},"asks":[],"sum":{total(number)}'
    flag = ',"whole":true' if whole else ""
    return f'{{"at":5,"books":[{{"s":"A","n":{number},"after":{number - 1},{sides}{flag}}}]}}'.encode()


def total(number: int) -> int:
    from tests.bazaar.venue import summed

    return summed([(str(WHOLE[number] + 100), "1")], [])


WHOLE = {7: 7, 8: 7, 9: 7, 70: 70, 71: 70, 72: 70}


def test_without_shared_ids_the_old_connection_serves_until_a_whole_book_came() -> None:
    """The two connections number the same book apart."""
    router = FrameRouter(BAZAAR, {"A": Instrument("bazaar", "A", "1", "1")})
    router.assign("c", ["A"])
    said = [
        Frame(1, Via.CONNECT, "c"),
        Frame(2, Via.WS, "c", raw=book(7, whole=True)),
        Frame(3, Via.WS, "c", raw=book(8, whole=False)),
        Frame(4, Via.CONNECT, "c~2"),
        Frame(5, Via.WS, "c~2", raw=book(71, whole=False)),  # of the successor, before its book
        Frame(6, Via.WS, "c", raw=book(9, whole=False)),
        Frame(7, Via.WS, "c~2", raw=book(70, whole=True)),
        Frame(8, Via.WS, "c", raw=book(9, whole=False)),  # of the old one, behind it
        Frame(9, Via.WS, "c~2", raw=book(71, whole=False)),
        Frame(10, Via.DISCONNECT, "c"),
        Frame(11, Via.WS, "c~2", raw=book(72, whole=False)),
    ]
    records = [record for frame in said for record in router.handle(frame).records]
    told = [record for record in records if isinstance(record, L2Record)]

    assert [(record.kind, record.sequence) for record in told] == [
        (Kind.SNAPSHOT, 7),
        (Kind.DELTA, 8),
        (Kind.DELTA, 9),
        (Kind.SNAPSHOT, 70),
        (Kind.DELTA, 71),
        (Kind.DELTA, 72),
    ]
    assert len({record.epoch for record in told}) == 2
    assert router.ignored["other_connection"] == 2
    assert router.comes_over("c~2")
