"""Every venue: one line here, one file in its family's folder, one fixture folder under `tests/producers/fixtures`."""

from __future__ import annotations

from producers.contract import Exchange
from producers.exchanges.binance.coin_m import BINANCE_DELIVERY
from producers.exchanges.binance.spot import BINANCE
from producers.exchanges.binance.usd_m import BINANCE_FUTURES

EXCHANGES: dict[str, Exchange] = {
    "binance": BINANCE,
    "binance-futures": BINANCE_FUTURES,
    "binance-delivery": BINANCE_DELIVERY,
}
