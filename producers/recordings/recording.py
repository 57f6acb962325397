"""The file of a recording: `*.frames.jsonl.gz`, or the same unpacked, one JSON object a line, in order of receipt.

A line has `received_ns`, `via` (`ws`, `rest`, `connect`, `disconnect`) and `raw`, the frame's text as received. Own
recordings add `connection`, `request` (path and query) on `rest` lines and `venue` on the first line, and begin with
the instrument list.
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
    connection: str = ""
    request: str = ""
    venue: str = ""


_LINE = msgspec.json.Decoder(_Line)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is no such line."""


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
        frames = (self._frame(text, number) for number, text in numbered_lines(self.path))
        return before_damage(frames) if self.until_damage else frames

    def _frame(self, text: bytes, number: int) -> Frame:
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
        return Frame(line.received_ns, line.via, connection, line.request, line.raw.encode())


def venue_on(line: bytes) -> str:
    """Tell which venue the first line of a recording names; empty where it names none."""
    try:
        return _LINE.decode(line).venue
    except _UNREADABLE:
        return ""
