"""The endpoint's key: rotated under way by a change of its file, validated before it is used, shown nowhere.

The file is looked at before each request, and each second beside them. A new key is put to the endpoint's list of
models while requests go on with the one that holds.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from obflow.logs import get_logger
from processors.llm.key_ring import KeyRing, ModelKey, is_plausible
from processors.llm.models_list import KeyValidity

log = get_logger(__name__)

NO_KEY: Final = "none"
"""Sent where no key is set: endpoints on one's own machine need none."""
MASK: Final = "**********"
LOOK_S: Final = 1.0
"""Time between two looks at the file beside those of requests."""

Validate = Callable[[str], Awaitable[KeyValidity]]
"""Says whether the endpoint takes a key; ends within seconds."""


async def not_validated(key: str) -> KeyValidity:
    """Says of every key that it is not known whether it is taken."""
    return KeyValidity.UNKNOWN


class Keys:
    """Gives the key that holds now.

    Args:
        key: The key from the settings; empty where there is none.
        path: File it came from; None where it did not come from one.
        rejected: Told, with a reason, of each new key that is not used; the last good one goes on being used.
        validate: Asks the endpoint whether it takes a key.
        ring: Which key holds; for tests with shorter times.
        look_s: Time between two looks at the file.
    """

    def __init__(
        self,
        key: str,
        path: Path | None,
        rejected: Callable[[str], None],
        validate: Validate = not_validated,
        ring: KeyRing | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self._ring = ring or KeyRing(ModelKey(key or NO_KEY))
        self._path = path
        self._rejected = rejected
        self._validate = validate
        self._look_s = look_s
        self._seen: str | None = self._ring.active.text
        self._again_s: float | None = None
        self._validating: asyncio.Task[None] | None = None
        self._used = {self._ring.active.text}

    async def current(self) -> ModelKey:
        """The key to send with the next request."""
        await self.look()
        return self._ring.active

    def refuses(self) -> bool:
        """Whether no request may leave: the key was refused, and there is no other."""
        return self._ring.refuses()

    def leaves(self) -> None:
        """Take note that a request leaves."""
        self._ring.leaves()

    def worked(self, key_id: str) -> None:
        """Take note that a request with this key was answered."""
        self._ring.worked(key_id)

    async def instead_of(self, key_id: str, seconds: float) -> ModelKey | None:
        """The key to try once where the endpoint has refused this one; none where there is no other, which opens it.

        Args:
            key_id: The one that was refused.
            seconds: How long a new one in the file may take to be validated.
        """
        await self.look()
        if self._validating is not None:
            await asyncio.wait({self._validating}, timeout=max(0.0, seconds))
        found = self._ring.instead_of(key_id, time.monotonic())
        if found is None:
            self.open()
        return found

    def open(self) -> None:
        """Take note that no key is taken: nothing leaves until the file changes or a probe says otherwise."""
        if not self._ring.is_open:
            advice = "write a key that the endpoint takes into regimes.api_key_file"
            log.error("key_refused", key_id=self._ring.active.id, next_step=advice)
        self._ring.open(time.monotonic())

    def masked(self, text: str) -> str:
        """The text without any key that was ever seen: endpoints quote what they refuse."""
        for key in sorted(self._used - {NO_KEY}, key=len, reverse=True):  # one may be the beginning of another
            text = text.replace(key, MASK)
        return text

    async def run(self) -> None:
        """Look at the file and probe a key that was refused, for ever."""
        with suppress(RuntimeError, ValueError, NotImplementedError):  # not the main thread, or no Unix
            # Who rotates a file tells so by SIGHUP, as is the custom; it would end the worker, and a look is never far.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)
        while True:
            await self.look()
            if self._ring.probe_is_due(time.monotonic()):
                validity = await self._validate(self._ring.active.text)
                self._ring.probed(time.monotonic(), is_denied=validity is KeyValidity.DENIED)
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        """Look at the file, and begin to validate what is new in it."""
        if self._path is None:
            return
        found = await asyncio.to_thread(_read, self._path)
        is_again = self._again_s is not None and time.monotonic() >= self._again_s
        if found == self._seen and not is_again:
            return
        self._seen, self._again_s = found, None
        if self._validating is not None:
            self._validating.cancel()
        if found is None or not is_plausible(found):
            self._rejected("KeyUnusable")
            log.error("key_unusable", path=str(self._path))
        elif found != self._ring.active.text:
            self._used.add(found)
            self._validating = asyncio.create_task(self._take_up(ModelKey(found)), name="key")

    async def _take_up(self, key: ModelKey) -> None:
        """Validate a key, and use it from then on unless it is denied."""
        try:
            validity = await self._validate(key.text)
            if validity is KeyValidity.DENIED:
                self._rejected("KeyRefused")
                self._again_s = time.monotonic() + self._ring.probe_s
                log.error("new_key_refused", key_id=key.id, path=str(self._path))
            else:
                self._ring.rotate(key, time.monotonic())
                log.info("key_changed", key_id=key.id, validated=validity is KeyValidity.ACCEPTED)
        finally:
            if self._validating is asyncio.current_task():
                self._validating = None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError):
        return None
