"""The file of a recording: `*.frames.jsonl.gz`, or the same unpacked, one JSON object a line, in order of receipt.

A line has `received_ns`, `via` (`ws`, `rest`, `connect`, `disconnect`) and `raw`, the frame's text as received; of one
that is not UTF-8, `raw_base64` in its place, so that it is refused with the same bytes as when it came (ADR 0066). Own
recordings add `connection`, `request` (path and query) on `rest` lines and `venue` on the first line, and begin with
the instrument list. A part of one (`producers.recordings.rotating`) has `part`, its number, on its first line, and
`continues` where nothing lies between it and the part before; lines that only say again what stands in that one are
`repeated`. One made by a producer has `known` lines: the trades that were on the log before it, by which it left out
what the venue sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from producers.messages import Frame, Via
from producers.recordings.lines import before_damage, numbered_lines
from schemas.bounds import INT64_MAX
from schemas.errors import FatalError, UsageError


class _Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a recording; see the module's text."""

    received_ns: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
    via: Via
    raw: str = ""
    raw_base64: bytes | None = None
    connection: str = ""
    request: str = ""
    venue: str = ""
    part: int = 0
    continues: bool = False
    repeated: bool = False


_LINE = msgspec.json.Decoder(_Line)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is no such line."""


class Head(NamedTuple):
    """What the first line of a recording says of it.

    Attributes:
        venue: Where its frames came from; empty where it does not say.
        part: Its number among the parts of a recording; 0 where it is none.
        continues: Whether it goes on where the part before ended, of the same run of the recorder.
    """

    venue: str = ""
    part: int = 0
    continues: bool = False


class RecordedLine(NamedTuple):
    """A line as read: its frame, and whether the part before says it, too."""

    frame: Frame
    repeated: bool


class Recording(NamedTuple):
    """A recording as a source of frames.

    Attributes:
        path: The file.
        name: Stands before the names of its connections, and so in the ids of its dead letters.
        venue: The venue that it has to be of, where it names one; empty takes any.
        until_damage: Whether a damaged file ends before its damage, in place of an error.
    """

    path: Path
    name: str = ""
    venue: str = ""
    until_damage: bool = False

    def frames(self) -> Iterator[Frame]:
        """Read its lines, in order.

        Raises:
            UsageError: There is no such file, or it is of another venue.
            FatalError: The file is cut short or damaged, or a line is not one of a recording: it is named.
        """
        return (line.frame for line in self.lines())

    def lines(self) -> Iterator[RecordedLine]:
        """Read its lines, in order, with what they say of themselves. Errors as of `frames`."""
        lines = (self._line(text, number) for number, text in numbered_lines(self.path))
        return before_damage(lines) if self.until_damage else lines

    def _line(self, text: bytes, number: int) -> RecordedLine:
        try:
            line = _LINE.decode(text)
        except _UNREADABLE as error:
            raise FatalError(
                f"line {number} of the recording {self.path} is not a frame as recorded ({error})",
                next_step="a line is one JSON object with received_ns, via and raw; --until-damage reads those before",
            ) from None
        if line.venue and self.venue and line.venue != self.venue:
            raise UsageError(
                f"the recording {self.path} is of {line.venue}, not of {self.venue}",
                next_step=f"name its venue with --venue {line.venue}",
            )
        connection = line.connection
        if self.name:
            connection = f"{self.name}/{connection}" if connection else self.name
        raw = line.raw.encode() if line.raw_base64 is None else line.raw_base64
        return RecordedLine(Frame(line.received_ns, line.via, connection, line.request, raw), line.repeated)


def received_on(line: bytes) -> int | None:
    """Tell when the frame on a line was received; None where it is no line of a recording."""
    try:
        return _LINE.decode(line).received_ns
    except _UNREADABLE:
        return None


def venue_on(line: bytes) -> str:
    """Tell which venue the first line of a recording names; empty where it names none."""
    return head_on(line).venue


def head_on(line: bytes) -> Head:
    """Read what the first line of a recording says of it; of any other line nothing."""
    try:
        first = _LINE.decode(line)
    except _UNREADABLE:
        return Head()
    return Head(first.venue, first.part, first.continues)
