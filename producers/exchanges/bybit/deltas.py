"""The deltas of Bybit's books at speed: one decoding of the whole frame, the levels left as they stand.

The same shapes as in `frames`, so that whatever is refused there is refused here; and what is read here means the same.
"""

from __future__ import annotations

from typing import Final

import msgspec

from producers.contract import DeltaReader
from producers.exchanges.bybit.frames import RESTARTED, BybitBook, BybitDepth
from producers.messages import LevelForm, RawDelta
from schemas.units import NS_PER_MS

HEAD_BYTES: Final = 40
"""Within so many a frame of depth says so, if it has the venue's order."""


class _RawBybitBook(BybitBook):
    b: msgspec.Raw  # type: ignore[assignment]
    a: msgspec.Raw  # type: ignore[assignment]


class RawBybitDepth(BybitDepth, kw_only=True):
    """Both of what a frame is decoded as on the readable path: a book's message, and the fields of its head."""

    data: _RawBybitBook
    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str | None = None


_DECODER = msgspec.json.Decoder(RawBybitDepth)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _read(raw: bytes) -> RawDelta | None:
    if b'"orderbook.' not in raw[:HEAD_BYTES]:
        return None
    try:
        message = _DECODER.decode(raw)
    except _UNREADABLE:
        return None
    name, _, rest = message.topic.partition(".")
    depth, book = rest.partition(".")[0], message.data
    if message.type != "delta" or name != "orderbook" or not depth.isdecimal() or depth == "1" or book.u == RESTARTED:
        return None
    time = message.ts if message.cts is None else message.cts
    return RawDelta(book.s, book.u, book.u, bytes(book.b), bytes(book.a), book.u - 1, time * NS_PER_MS)


DELTAS: Final = DeltaReader(LevelForm.PAIRS, _read)
