"""The updates of OKX's books at speed: one decoding of the whole frame, the levels left as they stand.

The same shapes as in `frames`, so that whatever is refused there is refused here; and what is read here means the same.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from producers.contract import DeltaReader
from producers.exchanges.okx.frames import BOOKS, MAX_MS, OkxBook, OkxHead
from producers.messages import LevelForm, RawDelta
from schemas.units import NS_PER_MS

HEAD_BYTES: Final = 40
"""Within so many a frame of depth says so, if it has the venue's order."""
LONGEST_TIME: Final = 13


class _RawOkxBook(OkxBook):
    asks: msgspec.Raw  # type: ignore[assignment]
    bids: msgspec.Raw  # type: ignore[assignment]


class RawOkxBooks(OkxHead, kw_only=True):
    """Both of what a frame is decoded as on the readable path: a head, and the fields of a book's message."""

    data: list[_RawOkxBook]
    action: Literal["snapshot", "update", ""] = ""


_DECODER = msgspec.json.Decoder(RawOkxBooks)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _read(raw: bytes) -> RawDelta | None:
    if b'"books' not in raw[:HEAD_BYTES]:
        return None
    try:
        message = _DECODER.decode(raw)
    except _UNREADABLE:
        return None
    arg, books = message.arg, message.data
    if message.action != "update" or message.event or arg is None or arg.channel not in BOOKS or len(books) != 1:
        return None
    return _delta(arg.instId, books[0])


def _delta(symbol: str, book: _RawOkxBook) -> RawDelta | None:
    time, previous = book.ts, book.prevSeqId
    if not (time.isascii() and time.isdecimal() and len(time) <= LONGEST_TIME):
        return None
    if (book.seqId is None) != (previous is None) or previous == -1:
        return None
    milliseconds = min(int(time), MAX_MS)
    sequence = milliseconds if book.seqId is None else book.seqId
    checksum = book.checksum or None  # 0: not alive
    bids, asks, time_ns = bytes(book.bids), bytes(book.asks), milliseconds * NS_PER_MS or None
    return RawDelta(symbol, sequence, sequence, bids, asks, previous, time_ns, checksum)


DELTAS: Final = DeltaReader(LevelForm.FOURS, _read)
