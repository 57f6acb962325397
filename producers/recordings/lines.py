"""Lines of a file, packed or plain, in constant memory; whatever stands in the way of the next one is one sentence."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from producers.contract import MAX_FRAME_BYTES, FrameSource
from schemas.errors import FatalError, UsageError

T = TypeVar("T")

MAX_LINE_BYTES = 8 * MAX_FRAME_BYTES
"""A line longer than this cannot hold a frame of the allowed size, however it is escaped."""
GZIP_MAGIC = b"\x1f\x8b"
OTHER_PACKINGS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip"}
"""What files begin with that are packed in another way."""


def lines_of(path: Path) -> Iterator[bytes]:
    """Read the lines of a file, each with its end.

    A mark of UTF-8 before the first one is left out.

    Raises:
        UsageError: There is no such file, or it is packed otherwise.
        FatalError: It is cut short, damaged or cannot be read.
    """
    number = 0
    try:
        with _opened(path) as file:
            while text := file.readline(MAX_LINE_BYTES):
                number += 1
                yield text.removeprefix(BOM_UTF8) if number == 1 else text
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


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a file with their numbers; empty ones at its end say nothing. Errors as of `lines_of`."""
    empty: tuple[int, bytes] | None = None
    for number, text in enumerate(lines_of(path), 1):
        if text.isspace():
            empty = empty or (number, text)
            continue
        if empty is not None:  # something stood there
            yield empty
            empty = None
        yield number, text


def before_damage(read: Iterator[T]) -> Iterator[T]:
    """Give what is read of a file up to its damage, in place of an error."""
    try:
        yield from read
    except UsageError:
        raise
    except FatalError:
        return


def first_line(path: Path) -> bytes:
    """Read the first line that is not empty; of a file damaged so early nothing: whoever reads it further says so.

    Raises:
        UsageError: There is no such file, or it is packed otherwise.
    """
    try:
        return next(filter(bytes.strip, lines_of(path)), b"")
    except UsageError:
        raise
    except FatalError:
        return b""


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
        begin = file.peek(8)
        if packing := next((name for magic, name in OTHER_PACKINGS.items() if begin.startswith(magic)), ""):
            raise UsageError(
                f"{path} is packed with {packing}, which is not read", next_step="unpack it, or pack it with gzip"
            )
        if begin.startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file
