"""Parts of a recording as one: a folder of them, or several that are named, in the order of their numbers.

    000001 ─ continues ─▶ 000002 ─ continues ─▶ 000003   ✂   000004 ─ continues ─▶ …
                                                        killed, or a part is missing

Where a part continues the one before, lines that it repeats are passed over, so that the whole is what one file would
be. Where it does not, something may be missing: the connections that stood are taken for lost, and no book is believed
across the hole. What was cut off there is read as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final, NamedTuple

from producers.messages import Frame, Via
from producers.recordings.lines import before_damage, first_line
from producers.recordings.manifest import Manifest, PartEnd, load_manifest
from producers.recordings.recording import Head, Recording, head_on
from schemas.errors import FatalError, UsageError

PART_NAME: Final = re.compile(r".+-(\d{6,})-\d{8}T\d{6}Z\.frames\.jsonl(\.gz)?")


class RecordingPart(NamedTuple):
    """A part of a recording.

    Attributes:
        path: Its file.
        head: What its first line says.
        was_cut_off: Whether it may end in the middle of a line.
    """

    path: Path
    head: Head
    was_cut_off: bool


class PartsOfRecording(NamedTuple):
    """Parts as one source of frames.

    Attributes:
        parts: In order.
        name: Stands before the names of connections.
        venue: The venue that they have to be of.
        until_damage: Whether what is read ends before a damage, in place of an error.
    """

    parts: tuple[RecordingPart, ...]
    name: str
    venue: str
    until_damage: bool = False

    def frames(self) -> Iterator[Frame]:
        """Read the frames of all, in order. Errors as of `Recording.frames`."""
        return before_damage(self._frames()) if self.until_damage else self._frames()

    def _frames(self) -> Iterator[Frame]:
        standing: dict[str, None] = {}
        last_ns = 0
        for part, follows in with_seams(self.parts):
            if not follows:
                yield from (Frame(last_ns, Via.DISCONNECT, connection) for connection in standing)
                standing.clear()
            recording = Recording(part.path, self.name, self.venue, part.was_cut_off)
            for frame, repeated in recording.lines():
                if repeated and follows:
                    continue
                note_standing(standing, frame)
                last_ns = frame.received_ns
                yield frame


def with_seams(parts: Iterable[RecordingPart]) -> Iterator[tuple[RecordingPart, bool]]:
    """Give each part, and whether it goes on where the one before it ended."""
    number = 0
    for part in parts:
        yield part, number > 0 and part.head.continues and part.head.part == number + 1
        number = part.head.part


def note_standing(standing: dict[str, None], frame: Frame) -> None:
    """Keep which connections stand, in the order in which they were opened."""
    if frame.via is Via.CONNECT:
        standing[frame.connection] = None
    elif frame.via is Via.DISCONNECT:
        standing.pop(frame.connection, None)


def head_of(path: Path) -> Head:
    """Read what a file says of itself on its first line; nothing where it is no recording of ours."""
    return head_on(first_line(path))


def part_files(folder: Path) -> list[Path]:
    """Give the files of a folder that are called as parts are, and say that they are one, in order."""
    called = [path for path in folder.iterdir() if PART_NAME.fullmatch(path.name)]
    numbered = [(head_of(path).part, path) for path in called]
    return [path for number, path in sorted(numbered) if number]


def parts_in(folder: Path) -> list[Path]:
    """Give the parts of a folder, in order.

    Raises:
        UsageError: It holds none.
    """
    if not (found := part_files(folder)):
        raise UsageError(f"the folder {folder} holds no parts of a recording", next_step="name the recording's file")
    return found


def parts_among(paths: Sequence[Path]) -> tuple[RecordingPart, ...]:
    """Read files, or a folder, as parts of one recording, in order; none where they are not all parts.

    Raises:
        UsageError: A folder holds none, two of them have one number, or a file is not there.
    """
    files = [file for path in paths for file in (parts_in(path) if path.is_dir() else [path])]
    cut_off = {folder: _cut_off(folder) for folder in {file.parent for file in files}}
    parts = [RecordingPart(file, head_of(file), file.name in cut_off[file.parent]) for file in files]
    parts.sort(key=lambda part: part.head.part)
    if not all(part.head.part for part in parts):
        return ()
    for one, other in pairwise(parts):
        if one.head.part == other.head.part:
            raise UsageError(
                f"{one.path} and {other.path} are both part {one.head.part}",
                next_step="name the parts of one recording",
            )
    return tuple(parts)


def grouped(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Put together neighbours that are parts and lie in one folder; anything else stands by itself."""

    def folder_of(numbered: tuple[int, Path]) -> Path | int:
        number, path = numbered
        return path.parent if path.is_file() and head_of(path).part else number

    return [tuple(path for _, path in group) for _, group in groupby(enumerate(paths), key=folder_of)]


def _cut_off(folder: Path) -> frozenset[str]:
    """Name the parts of a folder that may end in the middle of a line, as far as its manifest says so."""
    try:
        manifest = load_manifest(folder) or Manifest()
    except FatalError:  # whoever checks it says so
        return frozenset()
    return frozenset(entry.name for entry in manifest.parts if entry.ended in (PartEnd.OPEN, PartEnd.CUT_OFF))
