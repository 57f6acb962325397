"""Recording files: written so that a crash costs a second, and `obflow record`, which fills one from a live venue."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from producers.messages import Frame
from schemas.errors import UsageError

MEMBER_BYTES = 4 * 1024 * 1024
"""Lines held unpacked before a member is closed even without a flush."""


class RecordingWriter:
    """A recording being written: gzip members, each whole by itself, so that every flushed line survives a crash.

    The file is made at once, so that a name that cannot be used is refused before anything is received; closed without
    a line, it is taken away again.

    Args:
        path: A new file; `.gz` is packed, anything else plain.
        venue: The venue, written on the first line, so that no reader takes the frames for another's.

    Attributes:
        lines: Lines written.
        digest: SHA-256 of the unpacked text: what stays the same whatever packed it.

    Raises:
        UsageError: The file is there already, or cannot be created.
    """

    def __init__(self, path: Path, venue: str) -> None:
        self.lines = 0
        self._venue = venue
        self._path = path
        self.digest = hashlib.sha256()
        self._packed = path.suffix == ".gz"
        self._held: list[bytes] = []
        self._held_bytes = 0
        try:
            self._file = path.open("xb")
        except FileExistsError:
            raise UsageError(f"{path} is there already", next_step="choose another name") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror})", next_step="check the folder") from None

    def write(self, frame: Frame) -> None:
        """Add a line."""
        line: dict[str, object] = {
            "received_ns": frame.received_ns,
            "via": frame.via,
            "raw": frame.raw.decode(errors="replace"),
        }
        if not self.lines:
            line["venue"] = self._venue
        if frame.connection:
            line["connection"] = frame.connection
        if frame.request:
            line["request"] = frame.request
        text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        self.digest.update(text)
        self.lines += 1
        self._held.append(text)
        self._held_bytes += len(text)
        if self._held_bytes >= MEMBER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if not self._held:
            return
        text = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        # Without the time of packing, so that the same lines are the same file.
        self._file.write(gzip.compress(text, mtime=0) if self._packed else text)
        self._file.flush()

    def close(self) -> None:
        """Flush and close; a file without a line is no recording, and is removed."""
        if self._file.closed:
            return
        self.flush()
        self._file.close()
        if not self.lines:
            self._path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Take the file away: what it was to hold is not whole."""
        self._held, self._held_bytes = [], 0
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()
