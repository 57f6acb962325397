"""The endpoint's key: read anew before each request, so that it can be changed under way; shown nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from obflow.logs import get_logger

log = get_logger(__name__)

PLAUSIBLE: Final = re.compile(r"[\x21-\x7e]{1,4096}")
"""What can stand in a header: printable, without spaces."""
NO_KEY: Final = "none"
"""Sent where no key is set: endpoints on one's own machine need none."""
MASK: Final = "**********"


class Keys:
    """Gives the key that holds now.

    Args:
        key: The key from the settings; empty where there is none.
        path: File it came from, read before each request; None where it did not come from one.
        unusable: Told each time the file holds no usable key; the last good one goes on being used.
    """

    def __init__(self, key: str, path: Path | None, unusable: Callable[[], None]) -> None:
        self._key = key or NO_KEY
        self._path = path
        self._unusable = unusable
        self._used = {self._key}

    async def current(self) -> str:
        """The key to send with the next request."""
        if self._path is not None:
            self._use(await asyncio.to_thread(_read, self._path))
        return self._key

    def masked(self, text: str) -> str:
        """The text without any key that was ever used: endpoints quote what they refuse."""
        for key in sorted(self._used - {NO_KEY}, key=len, reverse=True):  # one may be the beginning of another
            text = text.replace(key, MASK)
        return text

    def _use(self, found: str) -> None:
        if not PLAUSIBLE.fullmatch(found):
            self._unusable()
            log.error("key_unusable", path=str(self._path))
        elif found != self._key:
            self._key = found
            self._used.add(found)
            log.info("key_changed", key_id=hashlib.sha256(found.encode()).hexdigest()[:8])


def is_plausible(key: str) -> bool:
    """Whether a key could stand in a header."""
    return PLAUSIBLE.fullmatch(key) is not None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError):
        return ""
