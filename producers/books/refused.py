"""What becomes of what a venue sent and nobody can use: a count, a dead letter, and doubt about what it belonged to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from producers.books.carriers import Carriers
from producers.books.records import ROLE
from producers.books.stream import InstrumentStream, Published
from producers.contract import Channel, damaged_symbol
from producers.messages import DepthDelta, DepthSnapshot, Frame, SnapshotOrigin, VenueMessage
from schemas.dead_letters import letter_about_frame
from schemas.errors import DecodeError, FrameTooLarge, MessageError
from schemas.messages import InstrumentKey

MAX_CAUSE: Final = 1_000
"""Characters of an error's sentence in the state of a feed: it may quote the frame."""


class Refusals:
    """What was refused of one venue at one producer.

    Args:
        venue: Its name.
        streams: One a symbol.
        carriers: Whose connection brings what.
        is_unnumbered: Whether updates of an instrument come without numbers, by its symbol.

    Attributes:
        rejected: Refused messages by reason (the error's class name).
    """

    def __init__(
        self,
        venue: str,
        streams: Mapping[str, InstrumentStream],
        carriers: Carriers,
        is_unnumbered: Callable[[str], bool],
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self._venue, self._streams, self._carriers = venue, streams, carriers
        self._is_unnumbered = is_unnumbered

    def refuse(self, error: MessageError, frame: Frame, number: int) -> list[Published]:
        """Give what a refused frame, or a message of it, leads to: a dead letter, and a book invalid if it was its own.

        Args:
            error: Why it was refused.
            frame: The frame.
            number: Its place among those of its connection, for the letter's id.
        """
        self.rejected[error.reason] += 1
        frame_id = f"{self._venue}:{frame.connection}:{frame.received_ns}:{number}"
        whose = InstrumentKey(self._venue, "")  # the error names the symbol where it is known
        letter = letter_about_frame(frame_id, frame.raw, frame.received_ns, error, role=ROLE, instrument=whose)
        self._miss_quotes(error, frame.connection)
        told: list[Published] = [letter]
        for stream in self._damaged(error, frame.connection):
            told += stream.on_bad_input(frame.received_ns, str(error)[:MAX_CAUSE])
        return told

    def _damaged(self, error: MessageError, connection: str) -> list[InstrumentStream]:
        """Books that lost an update with it, or may have: where updates have no numbers, no gap would tell of it."""
        if isinstance(error, DecodeError | FrameTooLarge) and not error.context.keys() & {"channel", "symbol"}:
            carried = self._carriers.carried_by(connection)
            return [self._streams[symbol] for symbol in carried if self._is_unnumbered(symbol)]
        damaged = self._streams.get(damaged_symbol(error))
        return [] if damaged is None else [damaged]

    def _miss_quotes(self, error: MessageError, connection: str) -> None:
        """Note that a refused frame was a best quote; of one that names nothing, that it may have been one."""
        channel, symbol = error.context.get("channel"), str(error.context.get("symbol", ""))
        if channel is Channel.QUOTE and symbol in self._streams:
            self._streams[symbol].on_missed_quote()
        elif channel is None and not symbol:
            for carried in self._carriers.carried_by(connection):
                self._streams[carried].kept.flow.miss()


def located(error: MessageError, message: VenueMessage) -> MessageError:
    """Add to an error what the message was, where its numbers turned out bad."""
    if isinstance(message, DepthDelta) or (
        isinstance(message, DepthSnapshot) and message.origin is SnapshotOrigin.IN_STREAM  # it was to replace the book
    ):
        error.context.setdefault("channel", Channel.DEPTH)
    symbol = getattr(message, "symbol", None)
    if symbol:
        error.context.setdefault("symbol", symbol)
    return error
