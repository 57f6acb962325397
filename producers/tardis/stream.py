"""A venue as tardis-machine streams it, live: one WebSocket an instrument, subscribed by its address.

| what | where |
|---|---|
| depth, trades, best quotes | `/ws-stream-normalized?options=…` of the machine, `producers.tardis.machine` |
| instrument list | the venue's own REST: the machine has none |

Where the exchange has derivatives, their tickers come over a connection more each.

A whole book comes first on each connection, and again after each `disconnect`. The machine takes no words: a book that
broke here is had by connecting anew, and as each connection carries one instrument, no other suffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from producers.contract import Alternative, Channel, Endpoints, Exchange, Fetch, Keepalive, Rate, Say
from producers.messages import Frame, VenueMessage
from producers.shapes import FrameShapes, KindShape
from producers.tardis.machine import MachineReader
from producers.tardis.venues import SPOT
from schemas.messages import ContractKind

PATH: Final = "/ws-stream-normalized"
DATA_TYPES: Final = ("book_change", "trade", "book_ticker")
DERIVATIVES: Final = ("derivative_ticker",)
TIMEOUT_MS: Final = 10_000
"""Without a message for so long the machine connects to the venue anew."""

_BOTH: Final = "localTimestamp symbol timestamp"
SHAPES: Final = FrameShapes(
    "type",
    " ",
    0,
    "error",
    "type exchange",
    {
        "book_change": KindShape(
            "", f"{_BOTH} isSnapshot bids asks", "bids[].price bids[].amount asks[].price asks[].amount"
        ),
        "trade": KindShape("", f"{_BOTH} price amount side", "id", "price amount"),
        "book_ticker": KindShape("", _BOTH, "bidPrice bidAmount askPrice askAmount", "bidPrice askPrice"),
        "derivative_ticker": KindShape(
            "",
            _BOTH,
            "lastPrice openInterest fundingRate fundingTimestamp predictedFundingRate indexPrice markPrice",
            "markPrice",
        ),
    },
)
"""What the machine's messages consist of, as documented and as recorded in 2019."""


class MachineStream:
    """The venue; see `producers.contract.Exchange`.

    Args:
        venue: The venue itself.
        exchange: Its id at Tardis.
        url: Address of the machine's WebSockets.
        data_types: What is asked for.
    """

    checksum = None
    shapes = SHAPES
    keepalive = Keepalive()  # WebSocket pings
    shares_update_ids = False
    deltas = None

    def __init__(self, venue: Exchange, exchange: str, url: str, data_types: Sequence[str] = DATA_TYPES) -> None:
        self.venue = venue.venue
        self._venue = venue
        self._exchange = exchange
        self._data_types = tuple(data_types)
        self._reader = MachineReader(venue, exchange)
        self.sequence = self._reader.sequence
        self.endpoints = Endpoints(websocket=url, rest=venue.endpoints.rest)
        self.limits = venue.limits._replace(
            streams_per_connection=1,
            streams_per_message=1,
            client_messages=Rate(10, 1),
            connects=Rate(20, 1),  # it is one's own machine
            lifetime_s=24 * 3600,  # none is documented: replaced once a day, as anywhere
        )

    @property
    def derivatives(self) -> MachineStream | None:
        """The machine, asked for the tickers of derivatives where the exchange has any."""
        if self._exchange in SPOT:
            return None
        return MachineStream(self._venue, self._exchange, self.endpoints.websocket, DERIVATIVES)

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name, as the venue does."""
        return self._venue.contract_kind(symbol)

    def websocket_path(self, symbol: str) -> str:
        """Give the address that subscribes an instrument."""
        options = {
            "exchange": self._exchange,
            "symbols": [symbol],
            "dataTypes": self._data_types,
            "timeoutIntervalMS": TIMEOUT_MS,
            "withDisconnectMessages": True,
        }
        return f"{PATH}?options={quote(msgspec.json.encode(options))}"

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read a message of the machine, or an answer of the venue."""
        return self._reader.parse(frame)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name the one connection; none for the tickers of what is no derivative."""
        is_spot = self.contract_kind(symbol) is ContractKind.SPOT
        return () if is_spot and self._data_types == DERIVATIVES else (symbol,)

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say nothing: the address did."""
        del symbols
        return []

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name none."""
        del channel, symbols
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say nothing: the connection ends."""
        del symbols
        return []

    def recover(self, symbol: str, failed: int = 0) -> list[Say]:
        """Say nothing: a whole book comes with a new connection."""
        del symbol, failed
        return []

    def poll(self, symbol: str) -> None:
        """Name nothing: the machine tells it."""
        del symbol

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Ask the venue itself."""
        return self._venue.listings(symbols)
