"""CSV datasets of Tardis as recordings: a frame is the rows of one message, received at its local_timestamp.

Which rows are one message the file does not say. Changes are those next to each other with the same local_timestamp and
timestamp; rows of a whole book (`is_snapshot` true) those with either, so that a book in parts stays one book, and a
later one is another. A file whose shape is off is refused, with the line; a row of the right shape with a bad number or
side is a bad frame, counted like that of any recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from producers.contract import MAX_FRAME_BYTES
from producers.messages import Frame, Via
from producers.recordings.lines import before_damage, lines_of, numbered_lines
from producers.tardis.datasets import HEAD, MAX_US, NAMES, US_DIGITS, Dataset, dataset_of
from schemas.errors import DecodeError, FatalError
from schemas.units import NS_PER_US

HEADER = ",".join(HEAD).encode()
"""What the header of each dataset begins with."""
UNITS = {10: "s", 13: "ms", 19: "ns"}
"""What a time of so many digits is in, where that is not µs."""


class TardisCsv(NamedTuple):
    """A dataset as a source of frames.

    Attributes:
        path: The file, packed or plain.
        dataset: Which dataset it is (`read_dataset`).
        name: Stands for its connection, and so in the ids of its dead letters.
        until_damage: Whether a damaged file ends before its damage, in place of an error.
    """

    path: Path
    dataset: Dataset
    name: str = ""
    until_damage: bool = False

    def frames(self) -> Iterator[Frame]:
        """Read its messages, in order.

        Raises:
            UsageError: There is no such file.
            FatalError: The file is cut short or damaged, or a row is not one of the dataset: it is named.
        """
        return before_damage(self._frames()) if self.until_damage else self._frames()

    def _frames(self) -> Iterator[Frame]:
        held: list[bytes] = []
        last, size, commas = _NONE, 0, self.dataset.columns - 1
        for number, line in numbered_lines(self.path):
            # Most rows begin as the one before them: then all but their number of columns is checked already.
            if not (line.startswith(last.beginning) and line.count(b",") == commas and line.endswith(b"\n")):
                if number == 1:
                    continue
                head = self._head(number, line, last)
                if held and not head.continues(last):
                    yield self._frame(held, last)
                    held, size = [], 0
                last = head
            held.append(line)
            size += len(line)
            if size > MAX_FRAME_BYTES:
                raise self._damaged(number, f"more than {MAX_FRAME_BYTES} bytes are of one moment")
        if held:
            yield self._frame(held, last)

    def _frame(self, lines: list[bytes], last: _RowHead) -> Frame:
        raw = b"".join(lines).replace(b"\r\n", b"\n").removesuffix(b"\n")
        return Frame(last.received_us * NS_PER_US, Via.WS, self.name, raw=raw)

    def _head(self, number: int, line: bytes, last: _RowHead) -> _RowHead:
        """Check the shape of a row, and read which message it is of."""
        if not line.endswith(b"\n"):  # a number that was cut is a number, too
            raise self._damaged(number, "it is cut short")
        if line.count(b",") + 1 != self.dataset.columns:
            raise self._damaged(number, f"it has no {self.dataset.columns} columns, as {self.dataset.name} has")
        exchange, symbol, time, local, rest = line.split(b",", len(HEAD))
        if len(local) != US_DIGITS or not local.isdigit() or int(local) > MAX_US:
            raise self._damaged(number, _no_time(local))
        if last is not _NONE and exchange != last.exchange:
            raise self._damaged(number, "it is of another exchange than the first one")
        flag = rest.partition(b",")[0] + b"," if self.dataset.has_snapshots else b""
        beginning = line[: len(line) - len(rest) + len(flag)]
        return _RowHead(beginning, exchange, symbol, time, int(local), flag == b"true,")

    def _damaged(self, number: int, why: str) -> FatalError:
        return FatalError(
            f"row {number} of {self.path} is none of a Tardis dataset ({why})",
            next_step="fetch it again, or read what is before with --until-damage",
        )


class _RowHead(NamedTuple):
    """What the rows of a message begin with."""

    beginning: bytes
    exchange: bytes
    symbol: bytes
    time: bytes
    received_us: int
    is_snapshot: bool

    def continues(self, before: _RowHead) -> bool:
        """Tell whether it is of the same message as the row before it."""
        if self.symbol != before.symbol or self.is_snapshot != before.is_snapshot:
            return False
        same = (self.received_us == before.received_us, self.time == before.time)
        return any(same) if self.is_snapshot else all(same)


_NONE = _RowHead(b"\n", b"", b"", b"", 0, False)
"""Before the first row: no line begins like this."""


def read_dataset(path: Path) -> Dataset:
    """Read which dataset a file is.

    Raises:
        UsageError: There is no such file.
        FatalError: Its header is of none, or the file is damaged.
    """
    header = next(lines_of(path), b"")
    if not header.strip():
        raise FatalError(f"{path} begins with nothing, not with a header of Tardis", next_step="fetch it again")
    try:
        return dataset_of(header.decode(errors="replace").rstrip("\r\n"), path.name)
    except DecodeError:
        shown = header[:200].decode(errors="replace").rstrip()
        raise FatalError(
            f"the first line of {path} is no header of a Tardis dataset ({shown})",
            next_step=f"there are {', '.join(NAMES)}",
        ) from None


def exchange_of(path: Path) -> str:
    """Read which exchange of Tardis a dataset is of; empty where it has no row. Errors as of `read_dataset`."""
    read_dataset(path)
    lines = lines_of(path)
    next(lines, b"")
    return next(lines, b"").partition(b",")[0].decode(errors="replace")


def _no_time(local: bytes) -> str:
    unit = UNITS.get(len(local), "") if local.isdigit() else ""
    if unit:
        return f"its local_timestamp is in {unit}, where Tardis writes µs"
    return f"its local_timestamp is {local[:40].decode(errors='replace')!r}, no time in µs"
