"""Every venue the simulator plays: one line here, one file beside it."""

from __future__ import annotations

from producers.simulator.contract import SimulatedVenue
from producers.simulator.venues import binance, binance_delivery, binance_futures, bybit, bybit_spot, deribit, okx
from schemas.errors import UsageError

SIMULATED: dict[str, SimulatedVenue] = {
    "binance-futures": binance_futures.VENUE,
    "binance": binance.VENUE,
    "binance-delivery": binance_delivery.VENUE,
    "bybit": bybit.VENUE,
    "bybit-spot": bybit_spot.VENUE,
    "okx": okx.VENUE,
    "deribit": deribit.VENUE,
}


def simulated_venue(name: str) -> SimulatedVenue:
    """Find a venue by its exchange id.

    Raises:
        UsageError: The simulator does not speak for it.
    """
    if name not in SIMULATED:
        raise UsageError(f"the simulator does not speak for {name}", next_step=f"use one of {', '.join(SIMULATED)}")
    return SIMULATED[name]
