"""Datasets of one instrument as one recording: the messages of all of them, in the order in which they were received.

So trades are part of the book's record that they led to, as they are of a live feed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from producers.contract import FrameReader, FrameSource
from producers.messages import Frame, VenueMessage
from producers.recordings.opened import Opened, open_parts, open_recording
from producers.recordings.parts import parts_among
from producers.recordings.tardis_csv import TardisCsv
from schemas.errors import UsageError
from schemas.messages import ContractKind


class JoinedFrames(NamedTuple):
    """Several sources as one; of messages received at one moment those of the first source come first."""

    sources: tuple[FrameSource, ...]

    def frames(self) -> Iterator[Frame]:
        """Read the messages of all, in order; errors as of each."""
        return merge(*(source.frames() for source in self.sources), key=attrgetter("received_ns"))


class JoinedReader:
    """Reads each frame as its dataset wants it; see `producers.contract.FrameReader`.

    Args:
        readers: By the connection that stands for the dataset; all of one venue.
    """

    checksum = None
    shares_update_ids = False
    deltas = None

    def __init__(self, readers: Mapping[str, FrameReader]) -> None:
        self._readers = readers
        self._any = next(iter(readers.values()))
        self.venue, self.sequence = self._any.venue, self._any.sequence

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name, as the venue does."""
        return self._any.contract_kind(symbol)

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the rows of one message."""
        return self._readers[frame.connection].parse(frame)


def open_joined(paths: Sequence[Path], venue: FrameReader, *, until_damage: bool = False) -> Opened:
    """Open one file, whatever it is, or as one: several parts of a recording, or datasets of the same instruments.

    Args:
        paths: The files; parts in any order, or their folder. Of one moment what the first dataset has comes last: a
            book behind the trades that changed it.
        venue: The venue that they are of.
        until_damage: Whether a damaged file ends before its damage, in place of an error.

    Raises:
        UsageError, FatalError: As `open_recording`; or one of several is no dataset.
    """
    if len(paths) == 1:
        return open_recording(paths[0], venue, until_damage=until_damage)
    if parts := parts_among(paths):
        return open_parts(parts, paths[0].name, venue, until_damage=until_damage)
    opened = [open_recording(path, venue, until_damage=until_damage) for path in reversed(paths)]
    readers: dict[str, FrameReader] = {}
    for path, one in zip(reversed(paths), opened, strict=True):
        if not isinstance(one.source, TardisCsv):
            raise UsageError(
                f"{path} is no dataset, and no part of a recording, that others can be joined to",
                next_step="play it by itself",
            )
        readers[one.source.name] = one.reader
    return Opened(JoinedFrames(tuple(one.source for one in opened)), JoinedReader(readers))
