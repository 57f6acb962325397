"""Recordings of several channels of depth of one instrument: at each moment one of them is its book.

A venue may have its book at several speeds, or so many levels deep, and a recording all of them. Each counts its
updates by itself, or sums up what others bring singly: one after the other they are no chain. So the deepest is read
while it is there, of those as deep the one with the most updates; what the others bring meanwhile is passed over and
counted. Where it ends, another goes on with its next whole book. Live, one is subscribed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from producers.contract import FrameReader
from producers.decoding import text_at
from producers.messages import DepthDelta, DepthSnapshot, Frame, Ignored, SnapshotOrigin, VenueMessage, Via
from schemas.units import NS_PER_SECOND

OTHER_DEPTH: Final = "other_depth"
"""What is passed over is counted by this."""
QUIET_NS: Final = 10 * NS_PER_SECOND
"""For so long a channel may be quiet at its end: until then updates of others are no news of its book."""


class DepthSpan(NamedTuple):
    """When a channel brought an instrument's depth, ns UTC."""

    channel: str
    first_ns: int
    last_ns: int


DepthSpans = Mapping[str, Sequence[DepthSpan]]
"""By instrument, the best channel first; of those alone that have several."""


class _ChannelSeen(msgspec.Struct):
    first_ns: int
    last_ns: int
    levels: int = 0
    updates: int = 0


class DepthChannels:
    """Collects which channels bring the depth of which instrument.

    Args:
        reader: Reads the frames.
    """

    def __init__(self, reader: FrameReader) -> None:
        self._place = "" if reader.deltas is None else reader.deltas.channel
        self._known: dict[str, dict[str, _ChannelSeen]] = {}

    def note(self, frame: Frame, message: DepthDelta | DepthSnapshot) -> None:
        """Take note of an update, or of a whole book in the stream."""
        if not self._place or not _is_in_stream(frame, message):
            return
        channels, name = self._known.setdefault(message.symbol or "", {}), text_at(frame.raw, self._place)
        known = channels.setdefault(name, _ChannelSeen(frame.received_ns, frame.received_ns))
        known.last_ns = frame.received_ns
        known.updates += 1
        if isinstance(message, DepthSnapshot):
            known.levels = max(known.levels, len(message.bids) + len(message.asks))

    def spans(self) -> DepthSpans:
        """Give what is known of instruments that several channels bring."""
        several = {symbol: channels for symbol, channels in self._known.items() if len(channels) > 1}
        return {symbol: _ranked(channels) for symbol, channels in several.items()}


class OneDepth:
    """Reads frames as another reader does, but for depth that a better channel brings at that time.

    Args:
        reader: The other reader.
        spans: When each channel brings what.
    """

    def __init__(self, reader: FrameReader, spans: DepthSpans) -> None:
        self.venue, self.contract_kind = reader.venue, reader.contract_kind
        self.sequence, self.checksum, self.deltas = reader.sequence, reader.checksum, reader.deltas
        self.shares_update_ids = reader.shares_update_ids
        self._reader, self._spans = reader, spans
        self._place = "" if reader.deltas is None else reader.deltas.channel
        self._book_of: dict[str, str] = {}  # by symbol: the channel of its last whole book

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the messages of one frame."""
        return [self._read(frame, message) for message in self._reader.parse(frame)]

    def _read(self, frame: Frame, message: VenueMessage) -> VenueMessage:
        if not isinstance(message, DepthDelta | DepthSnapshot) or not _is_in_stream(frame, message):
            return message
        symbol, name = message.symbol or "", text_at(frame.raw, self._place)
        is_book = isinstance(message, DepthSnapshot)
        quiet_ns = 0 if is_book or self._book_of.get(symbol, name) == name else QUIET_NS
        for span in self._spans.get(symbol, ()):
            if span.channel == name:
                break
            if span.first_ns <= frame.received_ns <= span.last_ns + quiet_ns:
                return Ignored(OTHER_DEPTH)
        if is_book:
            self._book_of[symbol] = name
        return message


def _is_in_stream(frame: Frame, message: DepthDelta | DepthSnapshot) -> bool:
    is_fetched = isinstance(message, DepthSnapshot) and message.origin is SnapshotOrigin.FETCHED
    return frame.via is Via.WS and not is_fetched


def _ranked(channels: Mapping[str, _ChannelSeen]) -> list[DepthSpan]:
    best_first = sorted(channels.items(), key=lambda one: (-one[1].levels, -one[1].updates, one[0]))
    return [DepthSpan(name, known.first_ns, known.last_ns) for name, known in best_first]
