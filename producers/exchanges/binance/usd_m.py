"""Binance USD-M futures (`binance-futures`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `<symbol>@depth@100ms` | `depthUpdate` with U, u, pu | delta | `DepthDelta`, connected by pu |
| `<symbol>@trade` | `trade`, X = MARKET | trade | `TradeTick`; m = true: the seller was the aggressor |
| | `trade`, X = INSURANCE_FUND, ADL, NA | – | left out and counted: not trades on the book |
| `<symbol>@bookTicker` | `bookTicker` with u | best quote | `BestQuote`, checks the book |
| REST `/fapi/v1/depth` | `lastUpdateId`, E, T | snapshot | `DepthSnapshot` |
| REST `/fapi/v1/exchangeInfo` | `symbols` | instrument list | `InstrumentList` |

T is the matching time and is used where given; E is the send time. Public streams live under `/public` since
2026-04-23.
"""

from __future__ import annotations

from collections.abc import Sequence

from producers.contract import Endpoints, Limits, PingRule, RestRequest
from producers.exchanges.binance import frames
from producers.exchanges.binance.frames import Dialect, ListedInstrument
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.messages import VenueMessage, Via
from schemas.messages import ContractKind


def _canonical(entry: ListedInstrument) -> str:
    """`BTC-USDT-PERP`, or with the delivery date, `BTC-USDT-240927`."""
    _, _, delivery = entry.symbol.partition("_")
    return f"{entry.baseAsset}-{entry.quoteAsset}-{delivery or 'PERP'}"


_DIALECT = Dialect(
    canonical=_canonical,
    contract_kind=ContractKind.LINEAR,
    has_previous_id=True,
    market_trades_only=True,
)


class BinanceFutures:
    """The venue; see `producers.contract.Exchange`."""

    venue = "binance-futures"
    contract_kind = ContractKind.LINEAR
    sequence_rule = BinanceFuturesRule()
    endpoints = Endpoints(websocket="wss://fstream.binance.com", rest="https://fapi.binance.com")
    limits = Limits(
        streams_per_connection=200,  # the venue allows 1,024
        streams_per_message=100,
        client_messages_per_s=10,
        connects_per_5_min=300,
        connection_lifetime_s=24 * 3600,
        weight_per_minute=2400,
        weight_header="x-mbx-used-weight-1m",
    )
    ping = PingRule(server_every_s=180, answer_within_s=600)
    websocket_path = "/public/stream"

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
        """A book of 1,000 levels a side, the most there is."""
        return RestRequest(f"/fapi/v1/depth?symbol={symbol}&limit={frames.SNAPSHOT_LIMIT}", weight=20)

    def instruments_request(self, symbols: Sequence[str] = ()) -> RestRequest:
        """All instruments with their filters: the futures' list cannot be asked for in part."""
        del symbols
        return RestRequest("/fapi/v1/exchangeInfo", weight=1)
