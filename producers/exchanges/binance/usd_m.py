"""Binance USD-M futures (`binance-futures`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `<symbol>@depth@100ms` | `depthUpdate` with U, u, pu | delta | `DepthDelta`, connected by pu |
| `<symbol>@trade` | `trade`, X = MARKET | trade | `TradeTick`; m = true: the seller was the aggressor |
| `<symbol>@aggTrade` | `aggTrade`, under `/market` | trade | the documented one: taken where `@trade` is silent |
| | `trade`, X = INSURANCE_FUND, ADL, NA | – | left out and counted: not trades on the book |
| `<symbol>@bookTicker` | `bookTicker` with u | best quote | `BestQuote`, checks the book |
| `<symbol>@markPrice@1s` | `markPriceUpdate`, under `/market` | derivative | `DerivativeTick`: p, i; r and T if T > 0 |
| REST `/fapi/v1/depth` | `lastUpdateId`, E, T | snapshot | `DepthSnapshot` |
| REST `/fapi/v1/openInterest` | `openInterest`, `time` | derivative | `DerivativeTick`, where it is asked for |
| REST `/fapi/v1/exchangeInfo` | `symbols` | instrument list | `InstrumentList` |
| any | `serverShutdown` | notice | a disconnect will follow |
| every other documented channel | – | – | passed over and counted: `frames.UNUSED_CHANNELS` |

Once documented, and read: trades without X, best quotes without `e`; and spot's old levels and envelopes.

T is the matching time and is used where given; E is the send time. Public streams live under `/public` since
2026-04-23. The venue sends a WebSocket ping every 3 minutes and wants its pong within 10.
"""

from __future__ import annotations

from producers.contract import Endpoints, Rate, VenueLimits
from producers.exchanges.binance.answers import Dialect, ListedInstrument
from producers.exchanges.binance.family import MESSAGE_BYTES, BinanceExchange
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.exchanges.binance.shapes import FUTURES
from schemas.messages import ContractKind


def _canonical(entry: ListedInstrument) -> str:
    """`BTC-USDT-PERP`, or with the delivery date, `BTC-USDT-240927`."""
    _, _, delivery = entry.symbol.partition("_")
    return f"{entry.baseAsset}-{entry.quoteAsset}-{delivery or 'PERP'}"


BINANCE_FUTURES = BinanceExchange(
    dialect=Dialect(
        venue="binance-futures",
        canonical=_canonical,
        contract_kind=ContractKind.LINEAR,
        has_previous_id=True,
        market_trades_only=True,
    ),
    sequence=BinanceFuturesRule(),
    endpoints=Endpoints(websocket="wss://fstream.binance.com", rest="https://fapi.binance.com"),
    limits=VenueLimits(
        streams_per_connection=200,  # the venue allows 1,024
        streams_per_message=100,
        message_bytes=MESSAGE_BYTES,
        client_messages=Rate(10, 1),
        connects=Rate(300, 300),
        lifetime_s=24 * 3600,
        weight_per_minute=2400,
        weight_header="x-mbx-used-weight-1m",
        pool="binance-contracts",  # USD-M and COIN-M, since 2026-06-30
    ),
    shapes=FUTURES,
    stream_path="/public/stream",
    derivatives_path="/market/stream",
    alternative_path="/market/stream",
    rest_path="/fapi/v1",
    depth_weight=20,
    list_weight=1,
    lists_by_name=False,
)
