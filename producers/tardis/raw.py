"""The venues' own messages as Tardis recorded them: what is asked of tardis-machine's `replay`, and how it answers.

| line | what becomes of it |
|---|---|
| `{"localTimestamp": …, "message": …}` | the venue's frame, byte for byte |
| the same, `generated`, of Binance's `@depthSnapshot`, `@openInterest` | the answer over REST that it was |
| an empty line | the connection is lost; it stands again with the next message |

The machine writes an empty line at once, and messages by the 32: up to 31 of those before it may follow it. A book is
believed no longer for it, only less long. What Tardis calls an exchange is one venue here or part of one
(`producers.tardis.venues`); the lines do not say whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from producers.messages import Frame, Via
from producers.tardis.decoding import UNREADABLE
from producers.tardis.machine import iso_ns
from schemas.errors import DecodeError

CHANNELS: Final[dict[str, tuple[str, ...]]] = {
    "binance": ("depth", "depthSnapshot", "trade", "bookTicker"),
    "binance-futures": ("depth", "depthSnapshot", "trade", "bookTicker", "markPrice", "openInterest"),
    "binance-delivery": ("depth", "depthSnapshot", "trade", "bookTicker", "markPrice", "openInterest"),
    "bybit": ("orderbook.50", "publicTrade", "orderbook.1", "tickers"),
    "bybit-spot": ("orderbook.50", "publicTrade", "orderbook.1"),
    "okex": ("books-l2-tbt", "trades", "bbo-tbt"),
    "okex-swap": ("books-l2-tbt", "trades", "bbo-tbt", "mark-price", "funding-rate", "open-interest"),
    "okex-futures": ("books-l2-tbt", "trades", "bbo-tbt", "mark-price", "open-interest"),
    "deribit": ("book", "trades", "quote", "ticker"),
}
"""What is asked for by the exchange ids of Tardis, in its names of the channels."""
OKX_BOOKS_SINCE: Final = "2026-05-21"
"""Since this day Tardis records OKX's `books` in place of `books-l2-tbt`."""
LOWER_CASE: Final = "binance"
"""Exchanges whose ids begin so have their symbols in lower case there."""
REST_PATHS: Final[dict[str, str]] = {
    "binance": "/api/v3",
    "binance-futures": "/fapi/v1",
    "binance-delivery": "/dapi/v1",
}
"""By venue, where the requests begin whose answers generated messages are."""
FETCHED: Final = {"depthSnapshot": "/depth", "openInterest": "/openInterest"}
"""By the kind of a generated message, what was asked for."""


class _RawLine(msgspec.Struct, gc=False):
    message: msgspec.Raw
    localTimestamp: str = ""  # noqa: N815 - theirs


class _Generated(msgspec.Struct, gc=False):
    data: msgspec.Raw = msgspec.Raw()
    stream: str = ""
    generated: bool = False


_LINE = msgspec.json.Decoder(_RawLine)
_GENERATED = msgspec.json.Decoder(_Generated)


def filters_of(
    exchange: str, symbols: Sequence[str], start: str, channels: Sequence[str] = ()
) -> list[dict[str, object]]:
    """Name what is wanted of an exchange as the machine reads it.

    Args:
        exchange: An exchange id of Tardis, one of `CHANNELS`.
        symbols: Instruments, as the venue writes them.
        start: The day from which on, ISO 8601: channels have changed.
        channels: These in place of the usual ones.
    """
    names = tuple(channels) or tuple(_of_that_day(name, start) for name in CHANNELS[exchange])
    written = [symbol.lower() if exchange.startswith(LOWER_CASE) else symbol for symbol in symbols]
    return [{"channel": name, "symbols": written} for name in names]


def is_raw(line: bytes) -> bool:
    """Tell whether a line holds a venue's own message."""
    try:
        return bool(_LINE.decode(line).localTimestamp)
    except UNREADABLE:
        return False


class RawLines:
    """Makes frames of the machine's lines, one after the other.

    Args:
        venue: Our venue; its adapter reads the frames.
        connection: What all of them came over.
    """

    def __init__(self, venue: str, connection: str) -> None:
        self._venue = venue
        self._connection = connection
        self._last_ns = 0
        self._stands = False

    def frames_of(self, line: bytes) -> list[Frame]:
        """Read a line, with its line feed.

        Raises:
            DecodeError: It is cut short, no message, or what the machine says where it failed.
        """
        if not line.strip():
            return self._lost()
        received_ns, raw = _read(line)
        self._last_ns = received_ns
        opened = [] if self._stands else [Frame(received_ns, Via.CONNECT, self._connection)]
        self._stands = True
        return [*opened, self._frame(received_ns, raw)]

    def _lost(self) -> list[Frame]:
        """Lose the connection, at the time of the last message: an empty line has none."""
        was_open, self._stands = self._stands, False
        return [Frame(self._last_ns, Via.DISCONNECT, self._connection)] if was_open else []

    def _frame(self, received_ns: int, raw: bytes) -> Frame:
        if (path := REST_PATHS.get(self._venue)) and b'"generated"' in raw:
            found = _generated(raw)
            symbol, _, kind = found.stream.partition("@")
            if found.generated and kind in FETCHED:
                request = f"{path}{FETCHED[kind]}?symbol={symbol.upper()}"
                return Frame(received_ns, Via.REST, self._connection, request, bytes(found.data))
        return Frame(received_ns, Via.WS, self._connection, raw=raw)


def _read(line: bytes) -> tuple[int, bytes]:
    is_cut = not line.endswith(b"\n")
    try:
        read = _LINE.decode(line)
    except UNREADABLE:
        raise DecodeError("it is cut short" if is_cut else "not a message of a venue with its time") from None
    if not read.localTimestamp:  # what it says where it fails has no line feed behind it either
        raise DecodeError(f"the machine failed: {bytes(read.message)[:200].decode(errors='replace')}")
    if is_cut:
        raise DecodeError("it is cut short")
    return iso_ns(read.localTimestamp), bytes(read.message)


def _generated(raw: bytes) -> _Generated:
    try:
        return _GENERATED.decode(raw)
    except UNREADABLE:  # the venue's adapter says what is wrong with it
        return _Generated()


def _of_that_day(channel: str, start: str) -> str:
    return "books" if channel == "books-l2-tbt" and start >= OKX_BOOKS_SINCE else channel
