"""Bybit spot (`bybit-spot`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `orderbook.200.<symbol>` | `snapshot`, or u = 1 | whole book | `DepthSnapshot` in the stream: it replaces the book |
| | `delta` with u | delta | `DepthDelta`, u one above the last |
| `publicTrade.<symbol>` | S the taker's side, i the id | trade | `TradeTick`; BT = true: a block, counted apart |
| `orderbook.1.<symbol>` | `snapshot`, again after 3 s with the same u | best quote | `BestQuote`, sampled every 10 ms |
| REST `/v5/market/instruments-info?category=spot` | `list` | instrument list | `InstrumentList` |

Its symbols are those of the linear contracts, letter for letter: the venue tells them apart. `seq` numbers every change
of the venue and is comparable across topics, but not consecutive.
"""

from __future__ import annotations

from producers.exchanges.bybit.answers import BybitDialect, BybitInstrument
from producers.exchanges.bybit.family import BybitExchange
from schemas.messages import ContractKind


def _canonical(entry: BybitInstrument) -> str:
    """`BTC-USDT-SPOT`."""
    return f"{entry.baseCoin}-{entry.quoteCoin}-SPOT"


BYBIT_SPOT = BybitExchange(
    dialect=BybitDialect(venue="bybit-spot", kind=lambda _: ContractKind.SPOT, canonical=_canonical),
    categories=("spot",),
    category=lambda _: "spot",
    kind=lambda _: ContractKind.SPOT,
)
