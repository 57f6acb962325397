"""Bybit's perpetuals and futures (`bybit`): linear in USDT and USDC, inverse in US dollars.

| channel | message | role | what becomes of it |
|---|---|---|---|
| `orderbook.200.<symbol>` | `snapshot`, or u = 1 | whole book | `DepthSnapshot` in the stream: it replaces the book |
| | `delta` with u | delta | `DepthDelta`, u one above the last |
| `publicTrade.<symbol>` | S the taker's side, i the id | trade | `TradeTick`; BT = true: a block, counted apart |
| `orderbook.1.<symbol>` | `snapshot`, again after 3 s with the same u | best quote | `BestQuote`, sampled every 10 ms |
| `tickers.<symbol>` | `snapshot` | derivative | `DerivativeTick`: funding, mark and index price, open interest |
| | `delta` | derivative | the same of what changed; one that tells nothing of it is counted |
| REST `/v5/market/instruments-info`, by category | `list`, `nextPageCursor` | instrument list | `InstrumentList` |

A change of a ticker is not merged with what was told before: what it does not tell is null, so that each value has the
time at which it was told. On a new connection the whole ticker comes first.

Linear and inverse have a WebSocket path each; an inverse one is told by its name: `BTCUSD`, `BTCUSDZ25`. Sizes are in
coins where linear and in US dollars where inverse, so that a contract is worth 1 in either.
"""

from __future__ import annotations

import re

from producers.exchanges.bybit.answers import BybitDialect, BybitInstrument
from producers.exchanges.bybit.family import BybitExchange
from schemas.errors import DecodeError
from schemas.messages import ContractKind
from schemas.units import MS_PER_DAY

_KINDS = {"Linear": ContractKind.LINEAR, "Inverse": ContractKind.INVERSE}
_INVERSE = re.compile(r"[A-Z0-9]+USD([FGHJKMNQUVXZ][0-9]{2})?")


def _category(symbol: str) -> str:
    return "inverse" if _INVERSE.fullmatch(symbol) else "linear"


def _kind_of(symbol: str) -> ContractKind:
    return ContractKind.INVERSE if _category(symbol) == "inverse" else ContractKind.LINEAR


def _kind(entry: BybitInstrument) -> ContractKind:
    """Tell it from the type; one that is neither kind may have another notional."""
    kind = next((kind for begins, kind in _KINDS.items() if entry.contractType.startswith(begins)), None)
    if kind is None:
        raise DecodeError("a contract that is neither linear nor inverse")
    return kind


def _canonical(entry: BybitInstrument) -> str:
    """`BTC-USDT-PERP`, or with the delivery date, `BTC-USD-251226`."""
    delivery = _date(entry.deliveryTime) if entry.contractType.endswith("Futures") else "PERP"
    return f"{entry.baseCoin}-{entry.quoteCoin}-{delivery}"


def _date(milliseconds: str) -> str:
    """Year, month and day of a moment, two digits each (Howard Hinnant, `civil_from_days`, within one era)."""
    days = int(milliseconds[:15]) // MS_PER_DAY + 719_468 - 5 * 146_097 if milliseconds.isdecimal() else 0
    year = (days - days // 1460 + days // 36_524 - days // 146_096) // 365
    of_year = days - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return f"{(year + (month >= 10)) % 100:02d}{(month + 2) % 12 + 1:02d}{day:02d}"


BYBIT = BybitExchange(
    dialect=BybitDialect(venue="bybit", kind=_kind, canonical=_canonical),
    categories=("linear", "inverse"),
    category=_category,
    kind=_kind_of,
    has_derivatives=True,
)
