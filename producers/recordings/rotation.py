"""When a part of a recording ends, as flags say it. The times and sizes of what is written decide, no clock."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from obflow.durations import seconds_of
from schemas.errors import UsageError
from schemas.units import NS_PER_SECOND

_SIZE: Final = re.compile(r"([0-9]+)([KMG]?)")


class Rotation(NamedTuple):
    """When a part ends: with its stretch of time, which begins at a multiple of it since 1970 (UTC), or its size.

    Attributes:
        every_ns: Length of a stretch; None: time ends none.
        most_bytes: Size, packed, after which it ends; None: size ends none.
    """

    every_ns: int | None = None
    most_bytes: int | None = None

    def is_due(self, began_ns: int, now_ns: int, written: int) -> bool:
        """Tell whether a part that began then, and is so large, ends before what is received now."""
        is_over = self.every_ns is not None and now_ns // self.every_ns > began_ns // self.every_ns
        return is_over or (self.most_bytes is not None and written >= self.most_bytes)


def rotation_of(every: str | None, size: str | None) -> Rotation | None:
    """Read `--rotate` and `--rotate-bytes`; None where all is one file.

    Raises:
        UsageError: One is no length of time, or no size.
    """
    seconds = seconds_of("--rotate", every)
    if seconds is None and size is None:
        return None
    every_ns = None if seconds is None else max(1, int(seconds * NS_PER_SECOND))
    return Rotation(every_ns, None if size is None else _bytes(size))


def _bytes(text: str) -> int:
    """Read a size: a number of bytes, or of K, M or G of them."""
    match = _SIZE.fullmatch(text)
    if match is None or not int(match[1]):
        raise UsageError(f"--rotate-bytes {text} is no size", next_step="write 500M or 2G")
    return int(match[1]) << (10 * " KMG".index(match[2] or " "))
