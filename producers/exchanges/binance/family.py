"""What Binance's venues share as venues: the same requests under other addresses, and the same frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import msgspec

from producers.contract import Alternative, Channel, DeltaForm, Endpoints, Fetch, Keepalive, Say, VenueLimits
from producers.exchanges.binance import frames, requests
from producers.exchanges.binance.answers import Dialect
from producers.exchanges.binance.deltas import DELTAS
from producers.messages import Frame, VenueMessage
from producers.sequencing import SequenceRule
from producers.shapes import FrameShapes
from schemas.messages import ContractKind

SNAPSHOT_LEVELS = 1000
"""A side of a fetched book: the futures' most; on spot 5,000 would cost five times the weight."""
MAX_LISTED = 100
"""Instruments named in one request for the list; for more than that the whole list is asked: URLs have a bound too."""

MESSAGE_BYTES = 4_000
"""A longer one than 4,096, the head of its frame included, is not answered and subscribes to nothing, as clients report
(binance-connector-rust, issue 27)."""

SERVER_PINGS = Keepalive()
"""The venue sends pings of the WebSocket protocol, which any library answers."""


@dataclass(frozen=True)
class BinanceExchange:
    """A venue of Binance; see `producers.contract.Exchange`.

    Attributes:
        dialect: How its words differ from the others'.
        shapes: What its data frames consist of.
        stream_path: Path and query of its connections.
        rest_path: What its REST paths begin with.
        depth_weight, list_weight: What a book and an instrument list cost.
        lists_by_name: Whether a list may be asked for in part; one name that the venue does not trade has it refuse.
        derivatives_path: Path and query of the connection that carries mark prices; empty where there are none.
        streams_of: Names the streams of an instrument.
        alternative_path: Path and query of the connection that carries `@aggTrade`, for where `@trade` is silent; and
            mark prices, where they have another path and are silent there.
        short_list: The parameter that leaves out of a list what makes it long and is not read.
    """

    dialect: Dialect
    sequence: SequenceRule
    endpoints: Endpoints
    limits: VenueLimits
    shapes: FrameShapes
    stream_path: str
    rest_path: str
    depth_weight: int
    list_weight: int
    lists_by_name: bool
    derivatives_path: str = ""
    streams_of: Callable[[str], tuple[str, ...]] = requests.streams
    alternative_path: str = ""
    short_list: str = ""
    checksum: None = None
    keepalive: Keepalive = SERVER_PINGS
    deltas: DeltaForm = DELTAS
    shares_update_ids: bool = True

    @property
    def venue(self) -> str:
        """Exchange id."""
        return self.dialect.venue

    @property
    def derivatives(self) -> BinanceExchange | None:
        """The same venue, asked for mark prices."""
        if not self.derivatives_path:
            return None
        return replace(
            self, stream_path=self.derivatives_path, derivatives_path="", streams_of=requests.derivative_streams
        )

    def contract_kind(self, symbol: str) -> ContractKind:
        """Kind of all its instruments."""
        del symbol
        return self.dialect.contract_kind

    def websocket_path(self, symbol: str) -> str:
        """Give the one path there is."""
        del symbol
        return self.stream_path

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the messages of one frame."""
        return frames.parse(frame, self.dialect)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name the streams of one instrument."""
        return self.streams_of(symbol)

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what subscribes to these instruments."""
        return [requests.say("SUBSCRIBE", symbols, self.streams_of)]

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name `@aggTrade` for trades, and the other path for mark prices."""
        path, has_two = self.alternative_path, self.derivatives_path not in ("", self.alternative_path)
        if path and channel is Channel.TRADE:
            return Alternative(path, [requests.say("SUBSCRIBE", symbols, requests.alternative_streams)])
        if path and channel is Channel.DERIVATIVE and has_two:
            return Alternative(path, [requests.say("SUBSCRIBE", symbols, requests.derivative_streams)])
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what ends these subscriptions."""
        return [requests.say("UNSUBSCRIBE", symbols, self.streams_of)]

    def recover(self, symbol: str, failed: int = 0) -> Fetch:
        """Ask for a book, however often."""
        del failed
        return Fetch(f"{self.rest_path}/depth?symbol={symbol}&limit={SNAPSHOT_LEVELS}", self.depth_weight)

    def poll(self, symbol: str) -> Fetch | None:
        """Ask for the open interest of what has any."""
        return Fetch(f"{self.rest_path}/openInterest?symbol={symbol}") if self.derivatives_path else None

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Ask for the instruments with their filters."""
        named = self.lists_by_name and 0 < len(symbols) <= MAX_LISTED
        wanted = f"symbols={quote(msgspec.json.encode(list(symbols)), safe='')}" if named else ""
        query = "&".join(filter(None, (wanted, self.short_list)))
        return [Fetch(f"{self.rest_path}/exchangeInfo{'?' if query else ''}{query}", self.list_weight)]
