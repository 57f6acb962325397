"""Binance COIN-M futures (`binance-delivery`): inverse, perpetual (`BTCUSD_PERP`) and quarterly (`BTCUSD_250328`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `<symbol>@depth@100ms` | `depthUpdate` with ps (the pair), U, u, pu | delta | `DepthDelta`, connected by pu |
| `<symbol>@trade` | `trade`, X = MARKET | trade | `TradeTick`; m = true: the seller was the aggressor |
| | `trade`, X = INSURANCE_FUND, ADL, NA | – | left out and counted: not trades on the book |
| `<symbol>@bookTicker` | `bookTicker` with ps, u | best quote | `BestQuote`, checks the book |
| `<symbol>@aggTrade` | `aggTrade`, under `/market` | trade | taken where `@trade` is silent |
| `<symbol>@markPrice@1s` | `markPriceUpdate` | derivative | `DerivativeTick`: p, i; r and T of perpetuals |
| | the same under `/market` | derivative | asked for besides where it is silent |
| REST `/dapi/v1/depth` | `lastUpdateId`, symbol, pair, E, T | snapshot | `DepthSnapshot` |
| REST `/dapi/v1/openInterest` | `openInterest`, `time` | derivative | `DerivativeTick`, where it is asked for |
| REST `/dapi/v1/exchangeInfo` | `symbols` with contractSize, contractStatus | instrument list | `InstrumentList` |

Sizes are numbers of contracts. A contract is worth `contractSize` US dollars (100 of BTC, 10 of any other), so that a
size's notional is size · contractSize whatever the price. An instrument is told by `symbol`: a `pair` has several. The
request weight is one pool with USD-M's since 2026-06-30; the header tells what both have used.

The documents name one path for all streams. Since USD-M's were split in April 2026 clients report that mark prices and
aggregates come under `/market` here, too, and are acknowledged and silent elsewhere.
"""

from __future__ import annotations

from producers.contract import Endpoints, Rate, VenueLimits
from producers.exchanges.binance.answers import Dialect, ListedInstrument
from producers.exchanges.binance.family import MESSAGE_BYTES, BinanceExchange
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.exchanges.binance.shapes import FUTURES
from schemas.messages import ContractKind


def _canonical(entry: ListedInstrument) -> str:
    """`BTC-USD-PERP`, or with the delivery date, `BTC-USD-250328`."""
    return f"{entry.baseAsset}-{entry.quoteAsset}-{entry.symbol.partition('_')[2]}"


BINANCE_DELIVERY = BinanceExchange(
    dialect=Dialect(
        venue="binance-delivery",
        canonical=_canonical,
        contract_kind=ContractKind.INVERSE,
        has_previous_id=True,
        market_trades_only=True,
    ),
    sequence=BinanceFuturesRule(),
    endpoints=Endpoints(websocket="wss://dstream.binance.com", rest="https://dapi.binance.com"),
    limits=VenueLimits(
        streams_per_connection=200,
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
    stream_path="/stream",
    derivatives_path="/stream",
    alternative_path="/market/stream",
    rest_path="/dapi/v1",
    depth_weight=20,
    list_weight=1,
    lists_by_name=False,
)
