"""The depth events of Binance's venues at speed: one decoding of the whole frame, the levels left as they stand.

The same shapes as in `frames`, so that whatever is refused there is refused here; and what is read here means the same.
"""

from __future__ import annotations

from typing import Final

import msgspec

from orderbook.decimals import INT64_MAX
from producers.contract import DeltaReader
from producers.exchanges.binance.frames import MICROSECONDS_FROM, DepthEvent, Envelope
from producers.messages import LevelForm, RawDelta
from schemas.units import NS_PER_MS, NS_PER_US

MOST_NAMES: Final = 4_096
"""Of streams, remembered."""
HEAD_BYTES: Final = 64
"""Within so many a frame of depth says so, if it has the venue's order."""


class _RawDepth(DepthEvent):
    b: msgspec.Raw  # type: ignore[assignment]
    a: msgspec.Raw  # type: ignore[assignment]


class _RawEnvelope(Envelope):
    data: _RawDepth | None = None  # type: ignore[assignment]


_DECODER = msgspec.json.Decoder(_RawEnvelope)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _DepthReader:
    def __init__(self, *, has_previous_id: bool) -> None:
        self._has_previous_id = has_previous_id
        self._depth_streams: set[str] = set()

    def __call__(self, raw: bytes) -> RawDelta | None:
        if b"@depth" not in raw[:HEAD_BYTES]:
            return None
        try:
            frame = _DECODER.decode(raw)
        except _UNREADABLE:
            return None
        depth = frame.data
        if depth is None or depth.e != "depthUpdate" or not self._is_depth(frame.stream):
            return None
        if depth.u < depth.U or (self._has_previous_id and depth.pu is None):
            return None
        time = depth.E if depth.T is None else depth.T
        time_ns = time * NS_PER_US if time >= MICROSECONDS_FROM else time * NS_PER_MS
        if time_ns > INT64_MAX:
            return None
        return RawDelta(depth.s, depth.U, depth.u, bytes(depth.b), bytes(depth.a), depth.pu, time_ns)

    def _is_depth(self, stream: str) -> bool:
        """Whether a stream's name is that of depth, as `frames` knows it."""
        if stream in self._depth_streams:
            return True
        is_depth = stream.partition("@")[2].partition("@")[0] == "depth"
        if is_depth and len(self._depth_streams) < MOST_NAMES:
            self._depth_streams.add(stream)
        return is_depth


def delta_reader(*, has_previous_id: bool) -> DeltaReader:
    """Make the reader of a venue; `has_previous_id` as of its dialect."""
    return DeltaReader(LevelForm.PAIRS, _DepthReader(has_previous_id=has_previous_id))
