"""Recording files, written so that a crash costs a second: what takes frames, and the one file that they become."""

from __future__ import annotations

import gzip
import hashlib
import os
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import orjson

from producers.messages import Frame
from schemas.errors import FatalError, UsageError

MEMBER_BYTES = 4 * 1024 * 1024
"""Lines held unpacked before a member is closed even without a flush."""


class FrameWriter(Protocol):
    """What keeps frames: one file, or a folder of parts (`producers.recordings.rotating`)."""

    @property
    def lines(self) -> int:
        """Frames written."""
        ...

    def write(self, frame: Frame) -> None:
        """Add a frame."""
        ...

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        ...

    def abandon(self) -> None:
        """Take away what was written: it is not whole."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Flush and close."""
        ...


def _raw(raw: bytes) -> dict[str, str]:
    """Write a frame's bytes as text; what is none in base64, so that the same bytes come back (ADR 0066)."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": b64encode(raw).decode()}


class RecordingWriter:
    """A recording being written: gzip members, each whole by itself, so that every flushed line survives a crash.

    The file is made at once, so that a name that cannot be used is refused before anything is received; closed without
    a line, it is taken away again.

    Args:
        path: A new file; `.gz` is packed, anything else plain.
        venue: The venue, written on the first line, so that no reader takes the frames for another's.
        head: What else stands on the first line.

    Attributes:
        path: The file.
        lines: Lines written.
        bytes: Size of what was handed to the operating system.
        digest: SHA-256 of the unpacked text: what stays the same whatever packed it.
        packed_digest: SHA-256 of the file.
        is_cut: Whether it could not be written on: it holds less than was written.

    Raises:
        UsageError: The file is there already, or cannot be created.
        FatalError: Nothing more can be written, as on a full disk. What was flushed until then is whole.
    """

    def __init__(self, path: Path, venue: str, head: dict[str, Any] | None = None) -> None:
        self.path, self.lines, self.bytes = path, 0, 0
        self._head = {"venue": venue, **(head or {})}
        self.digest, self.packed_digest = hashlib.sha256(), hashlib.sha256()
        self._packed = path.suffix == ".gz"
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.is_cut = False
        if path.is_dir():
            raise UsageError(f"{path} is a folder", next_step="name a file, or fill it with parts: --rotate 1h")
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise UsageError(f"{path} is there already", next_step="choose another name") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror})", next_step="check the folder") from None

    def write(self, frame: Frame, *, repeated: bool = False) -> None:
        """Add a line; one that is `repeated` stands in the part before, or follows from it."""
        line: dict[str, object] = {
            "received_ns": frame.received_ns,
            "via": frame.via,
            **_raw(frame.raw),
        }
        if not self.lines:
            line |= self._head
        if repeated:
            line["repeated"] = True
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
        """Hand what was written to the operating system; of a file that was given up nothing more."""
        if not self._held or self._file.closed:
            return
        text = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        # Without the time of packing, so that the same lines are the same file.
        self._append(gzip.compress(text, mtime=0) if self._packed else text)

    def _append(self, member: bytes) -> None:
        """Write a member whole, or leave the file as it was before and closed."""
        left = memoryview(member)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._give_up(error)
        self.bytes += len(member)
        self.packed_digest.update(member)

    def _give_up(self, error: OSError) -> None:
        self.is_cut = True
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), self.bytes)
        self._file.close()
        raise FatalError(
            f"{self.path} cannot be written any further ({error.strerror}); what was written until now is whole",
            next_step="make room on the disk, then start again",
        ) from None

    def sync(self) -> None:
        """Flush, and wait until the disk has it."""
        self.flush()
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Flush and close; a file without a line is no recording, and is removed."""
        if self._file.closed:
            return
        self.flush()
        self._file.close()
        if not self.lines:
            self.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Take the file away: what it was to hold is not whole."""
        self._held, self._held_bytes, self.lines = [], 0, 0
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()
