"""What is said to Binance's venues: the names of streams, and the requests that subscribe to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

import msgspec

from producers.contract import Say

DEPTH_SPEED: Final = "100ms"
AGGREGATES: Final = "aggTrade"


def streams(symbol: str) -> tuple[str, ...]:
    """Name depth, trades and best quotes of one instrument; stream names are lower case."""
    name = symbol.lower()
    return (f"{name}@depth@{DEPTH_SPEED}", f"{name}@trade", f"{name}@bookTicker")


def derivative_streams(symbol: str) -> tuple[str, ...]:
    """Name the mark price, which has index and funding with it."""
    return (f"{symbol.lower()}@markPrice@1s",)


def alternative_streams(symbol: str) -> tuple[str, ...]:
    """Name the channel of trades that is there besides."""
    return (f"{symbol.lower()}@{AGGREGATES}",)


def say(method: str, symbols: Sequence[str], streams_of: Callable[[str], tuple[str, ...]] = streams) -> Say:
    """Write a SUBSCRIBE or UNSUBSCRIBE that names the streams of these instruments.

    Its id is drawn from what it asks, so that nobody has to count.
    """
    names = [name for symbol in symbols for name in streams_of(symbol)]
    key = crc32(" ".join([method, *names]).encode())
    return Say(msgspec.json.encode({"method": method, "params": names, "id": key}), (str(key),))
