"""What Bybit's venues share as venues: the same requests for other categories, and the same frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from producers.contract import Alternative, Channel, DeltaForm, Endpoints, Fetch, Keepalive, Rate, Say, VenueLimits
from producers.exchanges.bybit import frames
from producers.exchanges.bybit.answers import BybitDialect
from producers.exchanges.bybit.deltas import DELTAS
from producers.exchanges.bybit.rules import BybitRule
from producers.exchanges.bybit.shapes import SHAPES
from producers.messages import Frame, VenueMessage
from producers.sequencing import SequenceRule
from producers.shapes import FrameShapes
from schemas.messages import ContractKind

DEPTH = 200
"""Levels a side: every 100 ms on contracts, every 200 ms on spot. 1,000 of them come every 200 ms."""
LISTED = 1000
"""Instruments on a page of the list, the most there may be."""

ENDPOINTS = Endpoints(websocket="wss://stream.bybit.com", rest="https://api.bybit.com")
RULE = BybitRule()
PING = Keepalive(message=b'{"op":"ping"}', every_s=20)
"""Recommended by the venue; it ends a connection that says nothing for ten minutes."""
LIMITS = VenueLimits(
    streams_per_connection=300,  # 21,000 characters of names are allowed: some 800
    streams_per_message=10,  # spot takes no more at once, and what holds there serves for all
    client_messages=Rate(10, 1),
    connects=Rate(500, 300),
    lifetime_s=24 * 3600,  # none is documented: replaced once a day, as anywhere
    weight_per_minute=6000,  # 600 requests in 5 s of one address, whatever they are
    pool="bybit",  # of whatever category
    ban_s=600,  # "403, access too frequent": "wait for at least 10 minutes"
)


@dataclass(frozen=True)
class BybitExchange:
    """A venue of Bybit; see `producers.contract.Exchange`.

    Attributes:
        dialect: How its words differ from the other's.
        categories: What its instrument list consists of.
        category: That of an instrument, by its name: the path of its connection.
        kind: Kind of an instrument, by its name.
        channels: Topics of an instrument, by its name.
        has_derivatives: Whether its tickers tell funding, mark price and open interest.
    """

    dialect: BybitDialect
    categories: tuple[str, ...]
    category: Callable[[str], str]
    kind: Callable[[str], ContractKind]
    channels: Callable[[str], tuple[str, ...]] = lambda symbol: (
        _depth(symbol),
        f"publicTrade.{symbol}",
        f"orderbook.1.{symbol}",
    )
    has_derivatives: bool = False
    sequence: SequenceRule = RULE
    endpoints: Endpoints = ENDPOINTS
    limits: VenueLimits = LIMITS
    shapes: FrameShapes = SHAPES
    checksum: None = None
    keepalive: Keepalive = PING
    deltas: DeltaForm = DELTAS
    shares_update_ids: bool = False  # u counts what one server sent of a topic

    @property
    def venue(self) -> str:
        """Exchange id."""
        return self.dialect.venue

    @property
    def derivatives(self) -> BybitExchange | None:
        """The same venue, asked for tickers."""
        if not self.has_derivatives:
            return None
        return replace(self, channels=lambda symbol: (f"{frames.TICKERS}.{symbol}",), has_derivatives=False)

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name."""
        return self.kind(symbol)

    def websocket_path(self, symbol: str) -> str:
        """Give the path of its category."""
        return f"/v5/public/{self.category(symbol)}"

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the messages of one frame."""
        return frames.parse(frame, self.dialect)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name depth, trades, and the book of one level as best quotes."""
        return self.channels(symbol)

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what subscribes to these instruments."""
        return [frames.say("subscribe", [topic for symbol in symbols for topic in self.streams(symbol)])]

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name none: each channel has one form."""
        del channel, symbols
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what ends these subscriptions."""
        return [frames.say("unsubscribe", [topic for symbol in symbols for topic in self.streams(symbol)])]

    def recover(self, symbol: str, failed: int = 0) -> list[Say]:
        """Subscribe to its depth anew: a whole book comes first (step 1 of the rule)."""
        del failed
        return [frames.say(op, [_depth(symbol)]) for op in ("unsubscribe", "subscribe")]

    def poll(self, symbol: str) -> None:
        """Name nothing: a channel tells all."""
        del symbol

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Ask for every category; a list can be had whole, or of one instrument."""
        del symbols
        path = "/v5/market/instruments-info?category="
        return [Fetch(f"{path}{category}&limit={LISTED}") for category in self.categories]


def _depth(symbol: str) -> str:
    return f"orderbook.{DEPTH}.{symbol}"
