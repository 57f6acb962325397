"""What a file holds, told by its beginning: frames as recorded, or data of Tardis in one of its forms; whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from producers.contract import FrameReader, FrameSource
from producers.recordings.lines import first_line
from producers.recordings.parts import PartsOfRecording, RecordingPart, parts_among, parts_in
from producers.recordings.recording import Recording, venue_on
from producers.recordings.tardis_csv import HEADER, TardisCsv, exchange_of, read_dataset
from producers.recordings.tardis_machine import (
    MachineFile,
    RawFile,
    books_in,
    is_shape,
    machine_head,
    shape_frame_of,
)
from producers.tardis.datasets import DatasetReader
from producers.tardis.machine import MachineReader
from producers.tardis.raw import is_raw
from producers.tardis.relay import RelayReader
from producers.tardis.shapes import ShapesReader
from producers.tardis.venues import VENUES, exchange_in, relayed_in
from schemas.errors import UsageError


class Opened(NamedTuple):
    """A file that can be read.

    Attributes:
        source: Its frames.
        reader: Reads them.
    """

    source: FrameSource
    reader: FrameReader


def open_recording(path: Path, venue: FrameReader, *, until_damage: bool = False) -> Opened:
    """Open a file of a venue, whatever its form.

    Args:
        path: The file, or a folder with the parts of a recording.
        venue: The venue that it is of.
        until_damage: Whether a damaged file ends before its damage, in place of an error.

    Raises:
        UsageError: There is no such file, or it is of another venue.
        FatalError: It begins like no file that can be read.
    """
    if path.is_dir():
        return open_parts(parts_among([path]), path.name, venue, until_damage=until_damage)
    told, name = venue_of(path), path.name.partition(".")[0]
    if told not in ("", venue.venue):
        raise UsageError(
            f"the recording {path} is of {told}, not of {venue.venue}", next_step=f"name its venue with --venue {told}"
        )
    if is_csv(path):
        dataset = read_dataset(path)
        return Opened(TardisCsv(path, dataset, name, until_damage), DatasetReader(venue, dataset))
    first = first_line(path)
    if (head := machine_head(first)) is not None:
        return Opened(MachineFile(path, name, until_damage), MachineReader(venue, head.exchange, books_in(path)))
    if is_raw(first):
        return Opened(RawFile(path, venue.venue, name, until_damage), venue)
    if is_shape(first):
        return Opened(MachineFile(path, name, until_damage, shape_frame_of), ShapesReader(venue))
    named = venue_on(first)
    return Opened(Recording(path, name, named or venue.venue, until_damage), _reader_of(named, venue))


def open_parts(
    parts: tuple[RecordingPart, ...], name: str, venue: FrameReader, *, until_damage: bool = False
) -> Opened:
    """Open parts of one recording as one.

    Args:
        parts: In order.
        name: Stands before the names of connections.
        venue: The venue that they are of.
        until_damage: Whether what is read ends before a damage, in place of an error.

    Raises:
        UsageError: They are of another venue.
    """
    named = parts[0].head.venue
    if (told := _venue_named(named, parts[0].path)) != venue.venue:
        raise UsageError(
            f"the recording {name} is of {told}, not of {venue.venue}", next_step=f"name its venue with --venue {told}"
        )
    source = PartsOfRecording(parts, name.partition(".")[0], named, until_damage)
    return Opened(source, _reader_of(named, venue))


def _reader_of(named: str, venue: FrameReader) -> FrameReader:
    """Give what reads the frames of a recording, by whoever it says that they came from."""
    if exchange := exchange_in(named):
        return MachineReader(venue, exchange)
    return RelayReader(venue) if relayed_in(named) else venue


def is_csv(path: Path) -> bool:
    """Tell whether a file is, or calls itself, a CSV."""
    return path.name.endswith((".csv", ".csv.gz")) or first_line(path).startswith(HEADER)


def venue_of(path: Path) -> str:
    """Tell of which venue a file says it is; empty where it does not say.

    Raises:
        UsageError: It is of an exchange that is none of our venues, or there is no such file.
    """
    path = parts_in(path)[0] if path.is_dir() else path
    if exchange := _tardis_exchange(path):
        return _venue_at(exchange, path)
    return "" if is_csv(path) else venue_on(first_line(path))


def _venue_named(named: str, path: Path) -> str:
    """Tell the venue that a recording of ours names, or whose data the one it names passes on."""
    exchange = exchange_in(named) or relayed_in(named)
    return _venue_at(exchange, path) if exchange else named


def _venue_at(exchange: str, path: Path) -> str:
    if exchange not in VENUES:
        raise UsageError(
            f"{path} is of {exchange[:80]}, which is no venue here", next_step=f"there are {', '.join(VENUES)}"
        )
    return VENUES[exchange]


def require_venue(path: Path, named: str | None) -> str:
    """Tell of which venue to read a file: the one named, else the one that the file says it is of.

    Raises:
        UsageError: Neither says.
    """
    venue = named or venue_of(path)
    if not venue:
        raise UsageError(f"{path} does not say which venue it is of", next_step="name its venue with --venue")
    return venue


def _tardis_exchange(path: Path) -> str:
    """Tell which exchange of Tardis a file is of; empty where it is none of Tardis, or does not say."""
    if is_csv(path):
        return exchange_of(path)
    first = first_line(path)
    head = machine_head(first)
    named = venue_on(first)
    return head.exchange if head is not None else exchange_in(named) or relayed_in(named)
