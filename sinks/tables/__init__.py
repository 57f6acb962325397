"""The tables, one line each. To add one: a file here, a numbered migration beside, a line below."""

from __future__ import annotations

from typing import Any, Final

from sinks.contract import Table
from sinks.tables import (
    anomalies,
    arbitrage,
    dead_letters,
    derivatives,
    factors,
    feed_quality,
    feed_status,
    llm_calls,
    quotes,
    regimes,
    rollout,
    signals,
    trades,
)

TABLES: Final[dict[str, Table[Any]]] = {
    "factors": factors.TABLE,
    "trades": trades.TABLE,
    "derivatives": derivatives.TABLE,
    "feed_status": feed_status.TABLE,
    "feed_quality": feed_quality.TABLE,
    "dead_letters": dead_letters.TABLE,
    "regimes": regimes.TABLE,
    "llm_calls": llm_calls.TABLE,
    "rollout": rollout.TABLE,
    "signals": signals.TABLE,
    "anomalies": anomalies.TABLE,
    "quotes": quotes.TABLE,
    "arbitrage": arbitrage.TABLE,
}
