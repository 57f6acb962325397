"""Lines of a file, packed or plain, in constant memory; whatever stands in the way of the next one is one sentence."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from producers.contract import MAX_FRAME_BYTES, FrameSource
from producers.messages import Frame
from schemas.errors import FatalError, UsageError

MAX_LINE_BYTES = 8 * MAX_FRAME_BYTES
"""A line longer than this cannot hold a frame of the allowed size, however it is escaped."""
GZIP_MAGIC = b"\x1f\x8b"


def lines_of(path: Path) -> Iterator[bytes]:
    """Read the lines of a file, each with its end.

    Raises:
        UsageError: There is no such file.
        FatalError: It is cut short, damaged or cannot be read.
    """
    number = 0
    try:
        with _opened(path) as file:
            while text := file.readline(MAX_LINE_BYTES):
                number += 1
                yield text
    except FileNotFoundError:
        raise UsageError(f"there is no recording {path}", next_step="check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FatalError(
            f"the recording {path} is cut short or damaged after line {number} ({error})",
            next_step="fetch it again, or read what is before with --until-damage",
        ) from None
    except OSError as error:
        raise FatalError(
            f"the recording {path} cannot be read after line {number} ({error.strerror or error})",
            next_step="check the file and its permissions",
        ) from None


def before_damage(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Give the frames of a file up to its damage, in place of an error."""
    try:
        yield from frames
    except UsageError:
        raise
    except FatalError:
        return


def damage_of(source: FrameSource) -> str:
    """Read a source whole and say what is wrong with it, and where; empty where nothing is."""
    try:
        for _ in source.frames():
            pass
    except FatalError as error:
        return error.cause
    return ""


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader | gzip.GzipFile]:
    with path.open("rb") as file:
        packed = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
        if packed:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file
