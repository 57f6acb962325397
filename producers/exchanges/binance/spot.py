"""Binance spot (`binance`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `<symbol>@depth@100ms` | `depthUpdate` with U, u | delta | `DepthDelta`, connected by U ≤ previous u + 1 ≤ u |
| `<symbol>@trade` | `trade` | trade | `TradeTick`; m = true: the seller was the aggressor |
| `<symbol>@aggTrade` | `aggTrade` | trade | taken where `@trade` is silent |
| `<symbol>@bookTicker` | no event type; u, b, B, a, A | best quote | `BestQuote`, checks the book |
| REST `/api/v3/depth` | `lastUpdateId`, no time | snapshot | `DepthSnapshot` without a venue time |
| REST `/api/v3/exchangeInfo?symbols=[…]&showPermissionSets=false` | `symbols` | instrument list | `InstrumentList` |
| any | `serverShutdown` | notice | a disconnect will follow |
| every other documented channel | – | – | passed over and counted: `frames.UNUSED_CHANNELS` |

Shapes once documented, and read: levels `[price, size, []]` (until 2019, in updates and snapshots). An event may
stand bare, in `{"stream": …, "data": {…}}` or in `{"event": {…}}`; the farewell in each, with an empty stream too.

Depth carries E (send time) alone; trades carry T (matching time). We ask for microseconds and read milliseconds too.
The venue sends a WebSocket ping every 20 s and wants its pong within 60 s.
"""

from __future__ import annotations

from producers.contract import Endpoints, Rate, VenueLimits
from producers.exchanges.binance.answers import Dialect, ListedInstrument
from producers.exchanges.binance.family import MESSAGE_BYTES, BinanceExchange
from producers.exchanges.binance.rules import BinanceSpotRule
from producers.exchanges.binance.shapes import SPOT
from schemas.messages import ContractKind


def _canonical(entry: ListedInstrument) -> str:
    """`BTC-USDT-SPOT`."""
    return f"{entry.baseAsset}-{entry.quoteAsset}-SPOT"


BINANCE = BinanceExchange(
    dialect=Dialect(
        venue="binance",
        canonical=_canonical,
        contract_kind=ContractKind.SPOT,
        has_previous_id=False,
        market_trades_only=False,
    ),
    sequence=BinanceSpotRule(),
    endpoints=Endpoints(websocket="wss://stream.binance.com:9443", rest="https://api.binance.com"),
    limits=VenueLimits(
        streams_per_connection=200,  # the venue allows 1,024
        streams_per_message=100,
        message_bytes=MESSAGE_BYTES,
        client_messages=Rate(5, 1),
        connects=Rate(300, 300),
        lifetime_s=24 * 3600,
        weight_per_minute=6000,
        weight_header="x-mbx-used-weight-1m",
    ),
    shapes=SPOT,
    stream_path="/stream?timeUnit=microsecond",
    alternative_path="/stream?timeUnit=microsecond",
    rest_path="/api/v3",
    depth_weight=50,
    list_weight=20,
    lists_by_name=True,  # the whole list has thousands of them and grows towards a frame's bound
    short_list="showPermissionSets=false",
)
