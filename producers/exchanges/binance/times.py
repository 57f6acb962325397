"""Times as Binance writes them: in milliseconds, or in microseconds where the connection asked for them.

Both are told apart by their size.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from orderbook.decimals import INT64_MAX
from producers.contract import Channel
from schemas.errors import InvalidNumber
from schemas.units import NS_PER_MS, NS_PER_US

Time = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854_775)]
"""Milliseconds or microseconds; the bound keeps nanoseconds within int64."""
MICROSECONDS_FROM: Final = 10**14
"""From here a time is in microseconds: as milliseconds it would lie in the year 5138."""


def nanoseconds(time: int, channel: Channel, symbol: str) -> int:
    """Read a time, ns UTC. Raises InvalidNumber where that is beyond int64."""
    found = time * NS_PER_US if time >= MICROSECONDS_FROM else time * NS_PER_MS
    if found > INT64_MAX:
        raise InvalidNumber(f"the time {time} is beyond int64 in nanoseconds", channel=channel, symbol=symbol)
    return found
