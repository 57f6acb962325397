"""Binance spot (`binance`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `<symbol>@depth@100ms` | `depthUpdate` with U, u | delta | `DepthDelta`, connected by U = previous u + 1 |
| `<symbol>@trade` | `trade` | trade | `TradeTick`; m = true: the seller was the aggressor |
| `<symbol>@bookTicker` | no event type; u, b, B, a, A | best quote | `BestQuote`, checks the book |
| REST `/api/v3/depth` | `lastUpdateId`, no time | snapshot | `DepthSnapshot` without a venue time |
| REST `/api/v3/exchangeInfo?symbols=[…]` | `symbols` | instrument list | `InstrumentList` |
| any | `serverShutdown` | notice | a disconnect will follow |

Depth carries E (send time) alone; trades carry T (matching time). We ask for microseconds and read milliseconds too.
"""

from __future__ import annotations

from collections.abc import Sequence

from producers.contract import Endpoints, Limits, PingRule, RestRequest
from producers.exchanges.binance import frames
from producers.exchanges.binance.frames import Dialect, ListedInstrument
from producers.exchanges.binance.rules import BinanceSpotRule
from producers.messages import VenueMessage, Via
from schemas.messages import ContractKind


def _canonical(entry: ListedInstrument) -> str:
    """`BTC-USDT-SPOT`."""
    return f"{entry.baseAsset}-{entry.quoteAsset}-SPOT"


_DIALECT = Dialect(
    canonical=_canonical,
    contract_kind=ContractKind.SPOT,
    has_previous_id=False,
    market_trades_only=False,
)

MAX_LISTED = 100
"""Instruments named in one request for the list; for more than that the whole list is asked: URLs have a bound too."""


class Binance:
    """The venue; see `producers.contract.Exchange`."""

    venue = "binance"
    contract_kind = ContractKind.SPOT
    sequence_rule = BinanceSpotRule()
    endpoints = Endpoints(websocket="wss://stream.binance.com:9443", rest="https://api.binance.com")
    limits = Limits(
        streams_per_connection=200,  # the venue allows 1,024
        streams_per_message=100,
        client_messages_per_s=5,
        connects_per_5_min=300,
        connection_lifetime_s=24 * 3600,
        weight_per_minute=6000,
        weight_header="x-mbx-used-weight-1m",
    )
    ping = PingRule(server_every_s=20, answer_within_s=60)
    websocket_path = "/stream?timeUnit=microsecond"

    def parse(self, frame: bytes, via: Via, request: str = "") -> list[VenueMessage]:
        """The messages of one frame."""
        return frames.parse(frame, via, request, self.venue, _DIALECT)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Names of the streams of one instrument."""
        return frames.streams(symbol)

    def subscribe(self, symbols: Sequence[str], first_id: int) -> list[bytes]:
        """Messages that subscribe to these instruments."""
        per_message = self.limits.streams_per_message
        return frames.request_messages("SUBSCRIBE", symbols, first_id, per_message)

    def unsubscribe(self, symbols: Sequence[str], first_id: int) -> list[bytes]:
        """Messages that end these subscriptions."""
        per_message = self.limits.streams_per_message
        return frames.request_messages("UNSUBSCRIBE", symbols, first_id, per_message)

    def snapshot_request(self, symbol: str) -> RestRequest:
        """A book of 1,000 levels a side; 5,000 would cost five times the weight."""
        return RestRequest(f"/api/v3/depth?symbol={symbol}&limit={frames.SNAPSHOT_LIMIT}", weight=50)

    def instruments_request(self, symbols: Sequence[str] = ()) -> RestRequest:
        """These instruments with their filters: the whole list has thousands of them and grows towards a frame's bound.

        One name that the venue does not trade has it refuse the request.
        """
        query = frames.symbols_query(symbols) if len(symbols) <= MAX_LISTED else ""
        return RestRequest("/api/v3/exchangeInfo" + query, weight=20)
