"""Every venue: one line here, one file in its family's folder, one fixture folder under `tests/producers/fixtures`."""

from __future__ import annotations

from producers.contract import Exchange
from producers.exchanges.binance.coin_m import BINANCE_DELIVERY
from producers.exchanges.binance.spot import BINANCE
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.exchanges.bybit.contracts import BYBIT
from producers.exchanges.bybit.spot import BYBIT_SPOT
from producers.exchanges.deribit.venue import DERIBIT
from producers.exchanges.okx.venue import OKX

EXCHANGES: dict[str, Exchange] = {
    "binance": BINANCE,
    "binance-futures": BINANCE_FUTURES,
    "binance-delivery": BINANCE_DELIVERY,
    "bybit": BYBIT,
    "bybit-spot": BYBIT_SPOT,
    "okx": OKX,
    "deribit": DERIBIT,
}
