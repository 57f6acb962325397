"""Which of our venues an exchange of Tardis is."""

from __future__ import annotations

from typing import Final

from schemas.messages import Coverage

PREFIX: Final = "tardis:"
"""Stands before an exchange of Tardis where a venue is named: its data come from Tardis."""
RELAY_PREFIX: Final = "relay:"
"""The same where they come from a relay of Tardis's data."""
VENUES: Final[dict[str, str]] = {
    "binance": "binance",
    "binance-futures": "binance-futures",
    "binance-delivery": "binance-delivery",
    "bybit": "bybit",
    "bybit-spot": "bybit-spot",
    "okex": "okx",
    "okex-swap": "okx",
    "okex-futures": "okx",
    "deribit": "deribit",
}
"""Our venue ids by the exchange ids of Tardis; OKX is three there, by kind of instrument."""
SPOT: Final = frozenset({"binance", "bybit-spot", "okex"})
"""Exchanges of Tardis without derivatives."""
COVERAGE: Final[dict[str, Coverage]] = {
    "binance": Coverage.RANGE,
    "binance-futures": Coverage.RANGE,
    "binance-delivery": Coverage.RANGE,
    "bybit": Coverage.TOP_N,
    "bybit-spot": Coverage.TOP_N,
    "okx": Coverage.TOP_N,
    "deribit": Coverage.WHOLE,
}
"""How far each of our venues shows its book, in the channels that Tardis records."""


def exchange_in(name: str) -> str:
    """Tell which exchange of Tardis a name of the form `tardis:okex-swap` is; empty where it is none of that form."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""


def relayed_in(name: str) -> str:
    """Tell which exchange of Tardis a name of the form `relay:okex-swap` is; empty where it is none of that form."""
    return name.removeprefix(RELAY_PREFIX) if name.startswith(RELAY_PREFIX) else ""
