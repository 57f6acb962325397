"""Messages of tardis-machine in a file, one JSON object a line, as its `replay-normalized` and its `replay` answer.

Such a file is a recording: `curl … > day.jsonl` is enough. A message was received at its localTimestamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from producers.messages import Frame, Via
from producers.recordings.lines import before_damage, lines_of, numbered_lines
from producers.tardis.machine import BOOKS, MachineHead, failure_in, head_of, received_ns
from producers.tardis.raw import RawLines
from producers.tardis.shapes import shape_received_ns
from schemas.errors import DecodeError, FatalError


class MachineFile(NamedTuple):
    """A file of normalised messages as a source of frames.

    Attributes:
        path: The file, packed or plain.
        name: Stands for its connection, and so in the ids of its dead letters.
        until_damage: Whether a damaged file ends before its damage, in place of an error.
        to_frame: Makes a frame of a line and the name.
    """

    path: Path
    name: str = ""
    until_damage: bool = False
    to_frame: Callable[[bytes, str], Frame] = lambda line, name: frame_of(line, name)

    def frames(self) -> Iterator[Frame]:
        """Read its messages, in order.

        Raises:
            UsageError: There is no such file.
            FatalError: The file is cut short or damaged, or a line is no message: it is named.
        """
        frames = (self._frame(line, number) for number, line in numbered_lines(self.path))
        return before_damage(frames) if self.until_damage else frames

    def _frame(self, line: bytes, number: int) -> Frame:
        try:
            return self.to_frame(line, self.name)
        except DecodeError as error:
            raise _no_message(self.path, number, error) from None


class RawFile(NamedTuple):
    """A file of a venue's own messages, as the machine's `replay` answers, as a source of frames.

    Attributes:
        path: The file, packed or plain.
        venue: The venue that they are of: the file does not say.
        name: Stands for its connection, and so in the ids of its dead letters.
        until_damage: Whether a damaged file ends before its damage, in place of an error.
    """

    path: Path
    venue: str
    name: str = ""
    until_damage: bool = False

    def frames(self) -> Iterator[Frame]:
        """Read its messages, in order. Errors as of `MachineFile.frames`."""
        return before_damage(self._frames()) if self.until_damage else self._frames()

    def _frames(self) -> Iterator[Frame]:
        lines = RawLines(self.venue, self.name)
        for number, line in enumerate(lines_of(self.path), 1):
            try:
                yield from lines.frames_of(line)
            except DecodeError as error:
                raise _no_message(self.path, number, error) from None


def _no_message(path: Path, number: int, error: DecodeError) -> FatalError:
    return FatalError(
        f"line {number} of {path} is no message of tardis-machine ({error.cause})",
        next_step="fetch it again, or read what is before with --until-damage",
    )


def frame_of(line: bytes, name: str) -> Frame:
    """Make a frame of a line, which ends in a line feed.

    Raises:
        DecodeError: It is cut short, no message, or what the machine says where it failed.
    """
    raw, is_cut = line.rstrip(b"\r\n"), not line.endswith(b"\n")
    try:
        failure = failure_in(raw)  # which has no line feed behind it
    except DecodeError:
        if is_cut:
            raise DecodeError("it is cut short") from None
        raise
    if failure or is_cut:
        raise DecodeError(f"the machine failed: {failure}" if failure else "it is cut short")
    return Frame(received_ns(raw), Via.WS, name, raw=raw)


def shape_frame_of(line: bytes, name: str) -> Frame:
    """Make a frame of a line in one of the shapes of tutorials.

    Raises:
        DecodeError: It is cut short, of none of the shapes, or does not say when it was received.
    """
    if not line.endswith(b"\n"):
        raise DecodeError("it is cut short")
    received = shape_received_ns(line)
    if received is None:
        raise DecodeError("it is of none of the shapes, or says no time")
    return Frame(received, Via.WS, name, raw=line.rstrip(b"\r\n"))


def is_shape(line: bytes) -> bool:
    """Tell whether the first line of a file is of one of the shapes of tutorials, and says when it was received."""
    try:
        return shape_received_ns(line) is not None
    except DecodeError:
        return False


def machine_head(line: bytes) -> MachineHead | None:
    """Read what the first line of such a file says of itself; None where it is another's."""
    try:
        head = head_of(line)
    except DecodeError:
        return None
    return head if head.type and head.localTimestamp else None


def books_in(path: Path) -> str:
    """Tell which messages are the books of a file: the first of them, since a picture of a book follows its changes."""
    for line in lines_of(path):
        head = machine_head(line)
        if head is not None and head.type in BOOKS:
            return head.type
    return BOOKS[0]
