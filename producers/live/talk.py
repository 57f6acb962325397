"""What is said on one open socket, and what the venue answers to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import count

from aiolimiter import AsyncLimiter
from websockets.asyncio.client import ClientConnection

from producers.contract import Exchange, Say
from producers.messages import Ack, Notice, Reply, VenueNotice
from schemas.errors import ExchangeUnreachable

ACK_SECONDS = 10.0


class Talk:
    """What is said on one open socket: within the venue's rate, urgent things first, and watched until acknowledged."""

    def __init__(self, exchange: Exchange, connection: str) -> None:
        self._exchange = exchange
        self._connection = connection
        self._outgoing: asyncio.PriorityQueue[tuple[bool, int, Say]] = asyncio.PriorityQueue()
        self._numbers = count()
        self._awaited: Counter[str] = Counter()
        self._settled = asyncio.Event()
        self._settled.set()
        self._progress = asyncio.Event()
        self._refusal = ""

    def say(self, says: Sequence[Say], *, urgent: bool = False) -> None:
        """Send these in their order; urgent ones before all others."""
        for say in says:
            self._outgoing.put_nowait((not urgent, next(self._numbers), say))
            if say.acknowledged_by:
                self._awaited.update(say.acknowledged_by)
                self._note_progress()

    def handle(self, notice: VenueNotice) -> None:
        """Note an acknowledgement or a refusal; answer a heartbeat."""
        if isinstance(notice, Ack):
            self._awaited.subtract((notice.key,))
            self._awaited = +self._awaited  # an acknowledgement of nothing is none
            self._note_progress()
        elif isinstance(notice, Reply):
            self.say([Say(notice.raw)], urgent=True)
        elif isinstance(notice, Notice):
            self._refusal = notice.detail or "no reason given"
            self._note_progress()

    async def speak(self, socket: ClientConnection) -> None:
        """Send what there is to say."""
        allowed = self._exchange.limits.client_messages
        pace = AsyncLimiter(1, allowed.seconds / allowed.times)
        while True:
            _, _, say = await self._outgoing.get()
            await pace.acquire()
            await socket.send(say.raw, text=True)
            if say.acknowledged_by:
                self._note_progress()

    async def keep_alive(self) -> None:
        """Send the client's ping as often as the venue wants it."""
        rule = self._exchange.keepalive
        while rule.every_s:
            await asyncio.sleep(rule.every_s)
            self.say([Say(rule.message)], urgent=True)
        await asyncio.Event().wait()

    async def watch(self) -> None:
        """Raise where the venue refuses something, or leaves it without an answer."""
        while not self._refusal:
            self._progress.clear()
            try:
                async with asyncio.timeout(ACK_SECONDS):
                    await self._progress.wait()
            except TimeoutError:
                if self._awaited:
                    raise self._failed("did not acknowledge a subscription", "check the network") from None
        raise self._failed(f"refused a subscription ({self._refusal})", "check the symbols")

    async def all_acknowledged(self) -> None:
        """Return once everything said is acknowledged; `watch` sees that it is."""
        await self._settled.wait()

    def _note_progress(self) -> None:
        self._progress.set()
        if self._awaited:
            self._settled.clear()
        else:
            self._settled.set()

    def _failed(self, what: str, next_step: str) -> ExchangeUnreachable:
        return ExchangeUnreachable(f"{self._exchange.venue} {what}", next_step=next_step, connection=self._connection)
