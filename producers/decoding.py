"""What the readers of all venues' JSON share: ids, times, levels, instrument lists, and the error for what is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from producers.contract import Channel
from producers.messages import Instrument, InstrumentList
from schemas.errors import DecodeError, InvalidNumber

Text = bytes | msgspec.Raw
"""A frame, or a part of one."""
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
MAX_MS: Final = 9_223_372_036_854
"""Of a time in milliseconds, so that its nanoseconds are int64."""
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)]

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)

D = TypeVar("D")


class Level(msgspec.Struct, array_like=True):
    """A level of a book; whatever else the venue has in it is passed over."""

    price: str
    size: str


def pairs(levels: Sequence[Level]) -> list[tuple[str, str]]:
    """Take price and size of each level."""
    return [(level.price, level.size) for level in levels]


def decoded(decoder: msgspec.json.Decoder[D], text: Text, channel: Channel | None = None, symbol: str = "") -> D:
    """Decode a text.

    Args:
        decoder: Of the shape that it should have.
        text: JSON.
        channel: What it belongs to, where that is known.
        symbol: Whose it is, where that is known.

    Raises:
        DecodeError: It is no JSON; or JSON of another shape, which is told of the channel.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if channel is None:
            raise DecodeError(f"not the shape of a frame: {error}") from None
        raise DecodeError(f"not the shape of a {channel}: {error}", channel=channel, symbol=symbol) from None
    except UNREADABLE as error:
        raise DecodeError(f"not JSON: {error}") from None


def read_list(
    entries: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], Instrument], named_by: str
) -> InstrumentList:
    """Read the entries of an instrument list, each by itself: one of another shape must not hide all others.

    Args:
        entries: As they came.
        read: Reads one; what it raises for one that cannot be used makes that entry `unreadable`.
        named_by: The field that holds the symbol.
    """
    instruments, unreadable = [], []
    for entry in entries:
        try:
            instruments.append(read(entry))
        except (*UNREADABLE, DecodeError, InvalidNumber, KeyError):
            unreadable.append(text_at(entry, named_by))
    return InstrumentList(tuple(instruments), tuple(unreadable))


def text_at(raw: Text, place: str) -> str:
    """Read the text at a place of a frame of whatever shape, fields by dots; empty where there is none."""
    value: Text = raw
    try:
        for field in place.split("."):
            value = _FIELDS.decode(value)[field]
        return _TEXT.decode(value)
    except (*UNREADABLE, KeyError):
        return ""
