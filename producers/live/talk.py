"""What is said on one open socket, and what the venue answers to it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

from aiolimiter import AsyncLimiter
from websockets.asyncio.client import ClientConnection

from producers.contract import Exchange, Say
from producers.messages import Ack, Notice, NoticeKind, Reply, VenueNotice
from schemas.errors import ExchangeUnreachable

ACK_SECONDS = 10.0
_WORD = re.compile(r"[^\s.,:;\"'()\[\]{}<>=@/]+")
"""What stands between what venues put around a name."""


class SubscriptionRefused(ExchangeUnreachable):
    """The venue will not send these instruments; it may well send the others of the connection, opened without them.

    Attributes:
        symbols: The instruments; none where it does not say which.
        why: What it said.
    """

    def __init__(self, cause: str, *, symbols: Sequence[str], why: str, next_step: str, connection: str) -> None:
        super().__init__(cause, next_step=next_step, connection=connection)
        self.symbols = tuple(symbols)
        self.why = why


class TooManyRequests(SubscriptionRefused):
    """The venue refuses what was said for how often it is asked: whatever is asked next has to wait."""


class Talk:
    """What is said on one open socket: within the venue's rate, urgent things first, and watched until acknowledged.

    Attributes:
        asking: The instrument that alone is being subscribed, once others were; empty where it may be any.

    Args:
        exchange: The venue.
        connection: The connection's name.
        symbols: The instruments that it carries.
    """

    def __init__(self, exchange: Exchange, connection: str, symbols: Callable[[], Sequence[str]] = tuple) -> None:
        self._exchange = exchange
        self._connection = connection
        self._symbols = symbols
        self._said: list[Say] = []  # what is to be acknowledged, and is not yet as a whole
        self._outgoing: asyncio.PriorityQueue[tuple[bool, int, Say]] = asyncio.PriorityQueue()
        self._numbers = count()
        self._awaited: Counter[str] = Counter()
        self._settled = asyncio.Event()
        self._settled.set()
        self._progress = asyncio.Event()
        self._refusal = ""
        self._refused: tuple[str, ...] = ()
        self._is_too_many = False
        self._has_accepted = False  # any instrument at all
        self.asking: str = ""

    def say(self, says: Sequence[Say], *, urgent: bool = False) -> None:
        """Send these in their order; urgent ones before all others."""
        for say in says:
            self._outgoing.put_nowait((not urgent, next(self._numbers), say))
            if say.acknowledged_by:
                self._said.append(say)
                self._awaited.update(say.acknowledged_by)
                self._note_progress()

    def handle(self, notice: VenueNotice) -> None:
        """Note an acknowledgement or a refusal; answer a heartbeat."""
        if isinstance(notice, Ack):
            self._awaited.subtract((notice.key,))
            self._awaited = +self._awaited  # an acknowledgement of nothing is none
            said, self._said = self._said, [say for say in self._said if self._lacks(say)]
            self._has_accepted |= any(self._in(say.raw.decode()) for say in said if say not in self._said)
            self._note_progress()
        elif isinstance(notice, Reply):
            self.say([Say(notice.raw)], urgent=True)
        elif isinstance(notice, Notice):
            self._refusal = notice.detail or "no reason given"
            self._refused = self._refused_by(notice)
            self._is_too_many = notice.kind is NoticeKind.TOO_MANY
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
                    self._refused = self._left_out()
                    self._refusal = "it left out what was asked" if self._refused else self._refusal
                    if not self._refused:
                        raise self._failed("did not acknowledge a subscription", "check the network") from None
        raise self._failed(f"refused a subscription ({self._refusal})", "check the symbols")

    async def all_acknowledged(self) -> None:
        """Return once everything said is acknowledged; `watch` sees that it is."""
        await self._settled.wait()

    def _refused_by(self, notice: Notice) -> tuple[str, ...]:
        """Instruments that a refusal is about; where the venue is not itself, none."""
        if notice.kind is NoticeKind.UNAVAILABLE:
            return ()
        return (notice.symbol,) if notice.symbol in self._symbols() else self._named_in(notice.detail)

    def _named_in(self, detail: str) -> tuple[str, ...]:
        """Instruments that a refusal names in words of its own; none where it names all: it repeats what was said.

        All are those of one message, or of the connection. One that names none is about the one that was asked for
        alone, where others were accepted before: one after the other, or since, as where its book is asked for anew.
        """
        named, carried = self._in(detail), self._symbols()
        if len(named) > 1 and any(named == self._in(say.raw.decode()) for say in self._said):
            return ()
        if not named and self.asking:
            return (self.asking,)
        if not named and self._has_accepted and len(carried) > 1:
            asked = {symbol for say in self._said for symbol in self._in(say.raw.decode())}
            return tuple(asked) if len(asked) == 1 else ()
        return named if len(named) < len(carried) or len(carried) == 1 else ()

    def _in(self, text: str) -> tuple[str, ...]:
        """Instruments that a text names."""
        words = set(_WORD.findall(text.upper()))
        return tuple(symbol for symbol in self._symbols() if symbol.upper() in words)

    def _lacks(self, say: Say) -> tuple[str, ...]:
        """Keys of it that are awaited still."""
        return tuple(key for key in say.acknowledged_by if key in self._awaited)

    def _left_out(self) -> tuple[str, ...]:
        """Instruments that the venue passed over in answers that accepted others."""
        lacking = [(say, self._lacks(say)) for say in self._said]
        keys = tuple(key for say, left in lacking if len(left) < len(say.acknowledged_by) for key in left)
        streams = self._exchange.streams
        return tuple(symbol for symbol in self._symbols() if any(key.endswith(streams(symbol)) for key in keys))

    def _note_progress(self) -> None:
        self._progress.set()
        if self._awaited:
            self._settled.clear()
        else:
            self._settled.set()

    def _failed(self, what: str, next_step: str) -> ExchangeUnreachable:
        cause = f"{self._exchange.venue} {what}"
        if self._refusal:
            kind = TooManyRequests if self._is_too_many else SubscriptionRefused
            return kind(
                cause, symbols=self._refused, why=self._refusal, next_step=next_step, connection=self._connection
            )
        return ExchangeUnreachable(cause, next_step=next_step, connection=self._connection)
