"""Logs a socket in, and keeps it so. What is said and heard for it is secret: none of it becomes a frame."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.client import ClientConnection

from producers.contract import Granted, Login
from producers.live.talk import TooManyRequests
from producers.messages import Notice, NoticeKind
from schemas.errors import ExchangeUnreachable

UNLOGGED: Final = logging.getLogger("obflow.unlogged")
"""For sockets on which something secret is said: the library writes headers and messages into its log for debugging."""
UNLOGGED.setLevel(logging.INFO)
ANSWER_SECONDS: Final = 10.0
RENEWED_AFTER: Final = 0.5
"""Share of the time granted after which it is renewed."""


class LoginRefused(ExchangeUnreachable):
    """The venue refuses the credentials."""


class SocketLogin:
    """The login of one socket.

    Args:
        login: What is said; None where nothing is.
        venue: Whose it is, for what is told.
    """

    def __init__(self, login: Login | None, venue: str) -> None:
        self._login = login
        self._venue = venue
        self._granted: Granted | None = None
        self._answered = asyncio.Event()
        self._refused = ""
        self._not_now: Notice | None = None

    async def begin(self, socket: ClientConnection, others: Callable[[bytes], Awaitable[None]]) -> None:
        """Log in, before anything else is said; `others` takes what else comes meanwhile.

        Raises:
            LoginRefused: The venue refuses it.
            ExchangeUnreachable: It does not answer.
        """
        if self._login is None:
            return
        await socket.send(self._login.begin, text=True)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not self._answered.is_set():
                    raw = await socket.recv(decode=False)
                    if not self.took(raw):
                        await others(raw)
        except TimeoutError:
            raise self._unanswered() from None
        self._require()

    def took(self, raw: bytes) -> bool:
        """Tell whether a message was the answer to a login, and take it."""
        found = None if self._login is None else self._login.read(raw)
        if found is None:
            return False
        self._not_now = found if isinstance(found, Notice) else None
        if isinstance(found, str):
            self._refused = found
        elif isinstance(found, Granted):
            self._granted = found
        self._answered.set()
        return True

    async def keep(self, socket: ClientConnection) -> None:
        """Renew it each time before it ends, until cancelled; errors as of `begin`."""
        while self._granted is not None:
            await asyncio.sleep(self._granted.seconds * RENEWED_AFTER)
            self._answered.clear()
            await socket.send(self._granted.renewal, text=True)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._answered.wait()
            except TimeoutError:
                raise self._unanswered() from None
            self._require()
        await asyncio.Event().wait()

    def _require(self) -> None:
        if self._not_now is not None:
            raise self._too_soon(self._not_now)
        if self._refused and self._login is not None:
            raise LoginRefused(
                f"{self._venue} refuses the credentials ({self._refused})", next_step=f"check {self._login.settings}"
            )

    def _too_soon(self, told: Notice) -> ExchangeUnreachable:
        cause = f"{self._venue} takes no login now ({told.detail})"
        if told.kind is NoticeKind.TOO_MANY:
            return TooManyRequests(
                cause, symbols=(), why=told.detail, next_step="ask it later: it is the venue's to mend", connection=""
            )
        return ExchangeUnreachable(cause, next_step="ask it later: it is the venue's to mend")

    def _unanswered(self) -> ExchangeUnreachable:
        return ExchangeUnreachable(f"{self._venue} does not answer a login", next_step="check the network")
