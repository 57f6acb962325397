"""What the readers of Binance's frames share: ids, times, levels, and the error for what is no such thing.

Times come in milliseconds, or in microseconds where the connection asked for them; both are told apart by their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from orderbook.decimals import INT64_MAX
from producers.contract import Channel
from schemas.errors import DecodeError, InvalidNumber
from schemas.units import NS_PER_MS, NS_PER_US

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Time = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854_775)]
"""Milliseconds or microseconds; the bound keeps nanoseconds within int64."""
MICROSECONDS_FROM: Final = 10**14
"""From here a time is in microseconds: as milliseconds it would lie in the year 5138."""

Text = bytes | msgspec.Raw
"""A frame, or a part of one."""


class LongLevel(msgspec.Struct, array_like=True):
    """A level with more than price and size, as `[price, size, []]` of before 2019: what else it has is passed over."""

    price: str
    size: str


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""


def pairs(levels: Sequence[LongLevel]) -> list[tuple[str, str]]:
    """Take price and size of each level."""
    return [(level.price, level.size) for level in levels]


def nanoseconds(time: int, channel: Channel, symbol: str) -> int:
    """Read a time, ns UTC. Raises InvalidNumber where that is beyond int64."""
    found = time * NS_PER_US if time >= MICROSECONDS_FROM else time * NS_PER_MS
    if found > INT64_MAX:
        raise InvalidNumber(f"the time {time} is beyond int64 in nanoseconds", channel=channel, symbol=symbol)
    return found


D = TypeVar("D")


def decoded(decoder: msgspec.json.Decoder[D], text: Text, channel: Channel | None = None, symbol: str = "") -> D:
    """Decode a text. Raises DecodeError, of the channel where its shape is wrong."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if channel is None:
            raise DecodeError(f"not the shape of a frame: {error}") from None
        raise DecodeError(f"not the shape of a {channel}: {error}", channel=channel, symbol=symbol) from None
    except UNREADABLE as error:
        raise DecodeError(f"not JSON: {error}") from None
