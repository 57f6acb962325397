"""A simulated market as Tardis would sell it: the same stretch as the venue's own messages, normalised, and as rows.

Made from the simulator's events alone; no code of the adapters is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from producers.simulator.contract import encode_event
from producers.simulator.events import DepthUpdate, MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.market import Fill
from producers.simulator.recording import RecordedFrame
from producers.simulator.true_book import WholeBook
from producers.simulator.venues import simulated_venue

START_NS = 1_700_000_000_000_000_000
STEP_NS = 10_000_000
DELAY_US = 2_345
DELAY_NS = DELAY_US * 1000
L2_HEADER = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES_HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"

Levels = list[tuple[str, str]]


class Said(NamedTuple):
    """One message, before it is written in either form; times in µs."""

    symbol: str
    time_us: int
    local_us: int
    bids: Levels
    asks: Levels
    is_whole: bool = False
    trade: tuple[str, str, str, str] | None = None  # id, side, price, amount


class Market:
    """A venue's markets in virtual time, and what Tardis would say of them.

    Args:
        exchange: Its id at Tardis.
        venue: Its name in the simulator.
        symbols: Instruments.
        seconds: How long.

    Attributes:
        said: What Tardis made of it.
        raw: The same as the venue said it, as lines of the machine's `replay`.
    """

    def __init__(self, exchange: str, venue: str, symbols: tuple[str, ...], seconds: float, seed: int = 5) -> None:
        self.exchange = exchange
        speaker = simulated_venue(venue)
        self._simulated = SimulatedExchange(speaker, symbols, seed=seed, start_ns=START_NS, changes_per_second=300)
        self.raw: list[bytes] = []
        self.said = list(self._run(symbols, seconds))

    def whole(self, symbol: str) -> Said:
        """The whole book now."""
        return said_of(self._simulated.snapshot(symbol))

    def true_book(self, symbol: str) -> tuple[Levels, Levels]:
        """The venue's book after its last update."""
        said = self.whole(symbol)
        return said.bids, said.asks

    def _run(self, symbols: tuple[str, ...], seconds: float) -> Iterator[Said]:
        for symbol in symbols:
            yield self._begin(symbol)
        end_ns = START_NS + int(seconds * 1e9)
        while self._simulated.now_ns < end_ns:
            for item in self._simulated.advance(self._simulated.now_ns + STEP_NS):
                if not isinstance(item, MarketEvent):
                    continue
                self._note(item)
                if isinstance(item.what, DepthUpdate | Fill):
                    yield said_of(item)

    def _begin(self, symbol: str) -> Said:
        """The whole book at the start: in the stream, or as Tardis fetched it."""
        venue, book = self._simulated.venue, self._simulated.snapshot(symbol)
        target = venue.book_target(symbol)
        if not target:
            self._note(book)
            return said_of(book)
        answer = self._simulated.get(target)
        assert answer.book is not None
        self.raw.append(raw_line(book.sent_ns + DELAY_NS, as_generated(symbol, answer.body)))
        return said_of(book._replace(what=answer.book))

    def _note(self, event: MarketEvent) -> None:
        self.raw.append(raw_line(event.sent_ns + DELAY_NS, encode_event(self._simulated.venue, event)))


def said_of(event: MarketEvent) -> Said:
    """Say what an event says, as the vendor received it."""
    spec, what, time_us = event.spec, event.what, event.sent_ns // 1000
    if isinstance(what, Fill):
        side = "buy" if what.buyer_is_aggressor else "sell"
        deal = (str(what.trade_id), side, spec.price_text(what.tick), spec.size_text(what.lots))
        return Said(spec.symbol, time_us, time_us + DELAY_US, [], [], trade=deal)
    bids, asks = event.level_texts()
    return Said(spec.symbol, time_us, time_us + DELAY_US, bids, asks, isinstance(what, WholeBook))


def as_message(exchange: str, said: Said) -> dict[str, Any]:
    """Write what was said as tardis-machine does."""
    head = {"symbol": said.symbol, "exchange": exchange}
    times = {"timestamp": iso(said.time_us), "localTimestamp": iso(said.local_us)}
    if said.trade is not None:
        number, side, price, amount = said.trade
        deal = {"id": number, "price": float(price), "amount": float(amount), "side": side}
        return {"type": "trade", **head, **deal, **times}
    sides = {
        name: [{"price": float(price), "amount": float(amount)} for price, amount in levels]
        for name, levels in (("bids", said.bids), ("asks", said.asks))
    }
    return {"type": "book_change", **head, "isSnapshot": said.is_whole, **sides, **times}


def as_rows(exchange: str, said: Said) -> list[str]:
    """Write what was said as rows of a dataset."""
    head = [exchange, said.symbol, str(said.time_us), str(said.local_us)]
    if said.trade is not None:
        return [",".join([*head, *said.trade])]
    flag = "true" if said.is_whole else "false"
    sides = (("bid", said.bids), ("ask", said.asks))
    return [",".join([*head, flag, side, *level]) for side, levels in sides for level in levels]


def raw_line(received_ns: int, raw: str) -> bytes:
    """Write a venue's message as the machine's `replay` does."""
    return f'{{"localTimestamp":"{iso(received_ns // 1000)}","message":{raw}}}\n'.encode()


def as_generated(symbol: str, answer: str) -> str:
    """Write the answer to a request for a book as Tardis keeps it among the messages of Binance."""
    return f'{{"stream":"{symbol.lower()}@depthSnapshot","generated":true,"data":{answer}}}'


def as_raw(frames: Iterable[RecordedFrame]) -> Iterator[bytes]:
    """Write a recorded session as the machine's `replay` does: without lists, and without saying when it was lost."""
    for frame in frames:
        if frame.via == "disconnect":
            yield b"\n"
        elif frame.via == "ws":
            yield raw_line(frame.received_ns, frame.raw)
        elif "symbol=" in frame.request and "/depth" in frame.request:
            symbol = frame.request.partition("symbol=")[2].partition("&")[0]
            yield raw_line(frame.received_ns, as_generated(symbol, frame.raw))


def write_messages(path: Path, messages: list[dict[str, Any]]) -> Path:
    """Write messages as `replay-normalized` answers them."""
    path.write_text("".join(json.dumps(message, separators=(",", ":")) + "\n" for message in messages))
    return path


def write_dataset(path: Path, header: str, rows: list[str]) -> Path:
    """Write a dataset."""
    path.write_text("".join(f"{row}\n" for row in (header, *rows)))
    return path


def iso(us: int) -> str:
    """A moment with as many decimals as it needs, three or six."""
    text = datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{us % 1_000_000:06d}"
    return f"{text}.{fraction[:3] if fraction.endswith('000') else fraction}Z"
