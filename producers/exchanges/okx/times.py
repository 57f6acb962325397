"""Times as OKX writes them: a text of milliseconds."""

from __future__ import annotations

from producers.contract import Channel
from producers.decoding import MAX_MS
from schemas.errors import DecodeError
from schemas.units import NS_PER_MS


def nanoseconds(milliseconds: str, channel: Channel, symbol: str) -> int | None:
    """Read a time; the venue writes 0 where it has none."""
    if not (milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) <= 13):
        raise DecodeError("a time that is none", channel=channel, symbol=symbol)
    return min(int(milliseconds), MAX_MS) * NS_PER_MS or None
