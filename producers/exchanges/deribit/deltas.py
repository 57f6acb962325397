"""The changes of Deribit's books at speed: one decoding of the whole frame, the levels left as they stand.

The same shapes as in `frames`, so that whatever is refused there is refused here; and what is read here means the same.
"""

from __future__ import annotations

from typing import Final

import msgspec

from producers.contract import DeltaReader
from producers.exchanges.deribit.frames import DeribitBook, DeribitHead, DeribitHeadParams
from producers.messages import LevelForm, RawDelta
from schemas.units import NS_PER_MS

HEAD_BYTES: Final = 88
"""Within so many a frame of depth says so, if it has the venue's order."""


class _RawDeribitBook(DeribitBook, kw_only=True):
    bids: msgspec.Raw  # type: ignore[assignment]
    asks: msgspec.Raw  # type: ignore[assignment]


class _RawDeribitParams(DeribitHeadParams, frozen=True, kw_only=True):
    data: _RawDeribitBook


class _RawDeribitMessage(DeribitHead, kw_only=True):
    """Both of what a frame is decoded as on the readable path."""

    params: _RawDeribitParams


_DECODER = msgspec.json.Decoder(_RawDeribitMessage)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _read(raw: bytes) -> RawDelta | None:
    if b'"book.' not in raw[:HEAD_BYTES]:
        return None
    try:
        message = _DECODER.decode(raw)
    except _UNREADABLE:
        return None
    name, _, rest = message.params.channel.partition(".")
    if message.method != "subscription" or name != "book" or "." in rest.rpartition(".")[0]:
        return None
    book = message.params.data
    if book.type == "snapshot" or not book.prev_change_id:
        return None
    number, time_ns = book.change_id, book.timestamp * NS_PER_MS
    bids, asks = bytes(book.bids), bytes(book.asks)
    return RawDelta(book.instrument_name, number, number, bids, asks, book.prev_change_id, time_ns)


DELTAS: Final = DeltaReader(LevelForm.ACTIONS, _read)
