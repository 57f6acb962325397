"""One gate a venue: whoever asks it anything, over REST or by a handshake, passes here.

Told to wait, nobody passes before the time the venue names; told nothing readable, the wait doubles with every refusal
in a row. When it is over one asks alone, and the others once that one was welcome. A request is paid for in the venue's
weight before it leaves, and the venue's own count, which sees whoever else uses this address, decides about the next.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import structlog
from aiolimiter import AsyncLimiter

from obflow.backoff import growing_wait_s
from obflow.clock import Clock, SystemClock
from obflow.response_headers import LONGEST_BAN_S, LONGEST_WAIT_S, read_count, read_wait
from producers.contract import VenueLimits
from producers.live.gate_state import GateState, OwnState, SharedState
from schemas.errors import Backpressure
from schemas.units import NS_PER_SECOND

FIRST_WAIT_S: Final = 2.0
"""After a refusal that names no time; each further one doubles it, up to `LONGEST_WAIT_S`."""
REGION_WAIT_S: Final = 60.0
"""The same where the venue serves nobody from here, which no waiting changes."""
LEAST_WAIT_S: Final = 0.25
"""However little the venue says."""
TRIAL_S: Final = 5.0
"""How long the others wait for the one that asks first after a wait."""
USABLE_WEIGHT: Final = 0.8
"""Share of the venue's weight that is used: others may share the address, and their clock is not ours."""
WEIGHT_FACTOR: Final = 100.0
"""A venue that tells a limit so many times smaller or larger than it documents is not believed."""
BAN: Final = 418
REGION: Final = 451
REFUSALS: Final = (403, BAN, 429, REGION)
"""What is meant for whoever asks, whatever was asked; so is any other error with a time in its headers."""
TRY_LATER: Final = 1013
"""How a socket is ended by a server that has too much to do (IANA's registry of close codes)."""
_BAN_WORDS: Final = re.compile(r"\bbann?ed\b", re.I)
_TOO_MANY_WORDS: Final = re.compile(r"too (?:many|frequent|much)|rate.?limit|\bbann?ed\b", re.I)
_FREQUENT_WORDS: Final = re.compile(r"too (?:many|frequent)", re.I)
_REGION_WORDS: Final = re.compile(r"restricted (?:location|countr|region)|your (?:country|region|location)", re.I)
TOLD_CHARACTERS: Final = 200
MINUTE_NS: Final = 60 * NS_PER_SECOND

log = structlog.get_logger(__name__)


class Refusal(NamedTuple):
    """What an answer says against whoever asked.

    Attributes:
        status: HTTP status.
        headers: Names and texts.
        body: What it says.
        told: What it says against whoever asks so often, where the status does not.
    """

    status: int
    headers: Iterable[tuple[str, str]]
    body: str = ""
    told: str = ""

    @property
    def is_ban(self) -> bool:
        """Whether it calls whoever asks banned, by its status or in words: inside a ban nothing may be asked."""
        return self.status == BAN or _BAN_WORDS.search(self.body[:1_000]) is not None

    @property
    def is_of_region(self) -> bool:
        """Whether the venue serves nobody from here."""
        return self.status == REGION or (self.status == 403 and _REGION_WORDS.search(self.body[:1_000]) is not None)


class HostGate:
    """The gate of one venue. Handshakes wait before it, requests are sent back with `Backpressure`.

    Args:
        limits: The venue's limits.
        clock: What time it is, for dates and for how long something lasts.
        sleep: Lets time pass.
        state: Where it is kept when nobody passes; a `SharedState` is kept by all processes of one address together.

    Attributes:
        ignored: What the venue said of waits and limits and could not be meant, by what it was.
    """

    def __init__(
        self,
        limits: VenueLimits,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        state: OwnState | SharedState | None = None,
    ) -> None:
        self.ignored: Counter[str] = Counter()
        self._documented = limits.weight_per_minute
        self._ban_s = limits.ban_s
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._state = state or OwnState()
        self._began_ns = self._clock.now_ns() - self._clock.monotonic_ns()
        self._counted = (0, 0)  # the minute, and the weight that the venue last counted in it
        self._under_way = 0
        self._limit(limits.weight_per_minute)

    def wait_s(self) -> float:
        """Tell for how long nobody passes; 0 where it is open."""
        with self._state.held() as state:
            return self._left_s(state)

    @property
    def why(self) -> str:
        """Why nobody passes, or passed last."""
        with self._state.held() as state:
            return state.why

    # -- passing

    async def handshake(self) -> int:
        """Wait until somebody may pass, and pass; gives when that was, for `welcome` and `refuse`."""
        while True:
            with self._state.held() as state:
                wait_s = self._left_s(state)
                if not wait_s:
                    return self._pass(state)
            await self._sleep(wait_s)

    @contextmanager
    def paid(self, weight: int) -> Iterator[int]:
        """Pass with a request that costs so much, which is under way while the block runs.

        Raises:
            Backpressure: Nobody passes now, or the weight of this minute is used up; says for how long.
        """
        with self._state.held() as state:
            self._require_open(state)
            self._require_weight(state, weight)
            passed_ns = self._pass(state)
            state.spend(weight, passed_ns // MINUTE_NS)
        self._under_way += weight
        try:
            yield passed_ns
        finally:
            self._under_way -= weight

    async def afford(self, weight: int) -> None:
        """Wait until the venue's limit allows so much more, as this process knows it.

        Raises:
            Backpressure: Nobody passes now, or the weight of this minute is used up.
        """
        with self._state.held() as state:
            self._require_open(state)
            self._require_weight(state, weight)
        await self._limiter.acquire(min(weight, self._limiter.max_rate))

    # -- what came of it

    def welcome(self, passed_ns: int) -> None:
        """Note that the venue answered: the next refusal is a first one again."""
        with self._state.held() as state:
            if state.refusals and passed_ns > state.closed_ns:
                state.refusals, state.until_ns = 0, 0

    def refuse(self, passed_ns: int, refusal: Refusal) -> float:
        """Close for as long as the venue says, or doubling where it says nothing; gives how long that is, seconds."""
        now_ns = self._now_ns()
        told_s = self._told_s(refusal, self._clock.now_ns())
        first_s = self._first_wait_s(refusal)
        with self._state.held() as state:
            is_next = passed_ns > state.closed_ns or not state.refusals  # of many refused together one counts
            state.refusals += is_next
            doubled_s = growing_wait_s(state.refusals - 1, first_s, LONGEST_WAIT_S)
            wait_s = max(told_s, LEAST_WAIT_S) if told_s else doubled_s
            until_ns = now_ns + int(wait_s * NS_PER_SECOND)
            state.until_ns = until_ns if is_next else max(until_ns, state.until_ns)
            state.closed_ns, state.why = now_ns, _sentence(refusal)
        log.warning("venue_refuses", why=state.why, wait_s=round(wait_s, 1), told=bool(told_s))
        return wait_s

    def note_count(self, text: str) -> None:
        """Note the weight that the venue itself has counted in this minute."""
        counted = read_count(text) if text else None
        if counted is not None:
            self._counted = (self._clock.now_ns() // MINUTE_NS, counted)
        elif text:
            self.ignored["weight_header"] += 1

    def limit_weight(self, weight_per_minute: int) -> None:
        """Take the limit the venue itself told, where it can be meant."""
        if self._documented / WEIGHT_FACTOR <= weight_per_minute <= self._documented * WEIGHT_FACTOR:
            self._limit(weight_per_minute)
        else:
            self.ignored["weight_limit"] += 1

    # -- inside

    def _limit(self, weight_per_minute: int) -> None:
        self._weight_per_minute = weight_per_minute
        self._limiter = AsyncLimiter(weight_per_minute * USABLE_WEIGHT, 60.0)

    def _left_s(self, state: GateState) -> float:
        left_s = (state.until_ns - self._now_ns()) / NS_PER_SECOND
        return left_s if 0.0 < left_s <= LONGEST_BAN_S else 0.0

    def _require_open(self, state: GateState) -> None:
        if wait_s := self._left_s(state):
            raise Backpressure(f"{state.why}; it refuses requests for now", retry_after_s=round(wait_s, 3))

    def _now_ns(self) -> int:
        """What is now, for what lasts: a clock that is set moves no wait of ours; what is shared goes by the wall."""
        if isinstance(self._state, SharedState):
            return self._clock.now_ns()
        return self._began_ns + self._clock.monotonic_ns()

    def _pass(self, state: GateState) -> int:
        now_ns = self._now_ns()
        if state.refusals:  # one asks alone: the others wait for what it hears
            state.until_ns = now_ns + int(TRIAL_S * NS_PER_SECOND)
        return now_ns

    def _require_weight(self, state: GateState, weight: int) -> None:
        now_ns = self._clock.now_ns()
        minute, counted = self._counted
        theirs = counted + self._under_way if minute == now_ns // MINUTE_NS else 0
        ours = state.spent_in(now_ns // MINUTE_NS) if isinstance(self._state, SharedState) else 0
        usable = self._weight_per_minute * USABLE_WEIGHT
        if theirs + weight > self._weight_per_minute or (ours and ours + weight > usable):
            left_s = (MINUTE_NS - now_ns % MINUTE_NS) / NS_PER_SECOND
            raise Backpressure("the weight of this minute is used up at the venue", retry_after_s=round(left_s, 3))

    def _first_wait_s(self, refusal: Refusal) -> float:
        """How long a first refusal is waited out that names no time."""
        if refusal.is_of_region:
            return REGION_WAIT_S
        is_turned_away = refusal.status == 403 and _FREQUENT_WORDS.search(refusal.body[:1_000]) is not None
        return self._ban_s if self._ban_s and is_turned_away else FIRST_WAIT_S

    def _told_s(self, refusal: Refusal, now_ns: int) -> float:
        """Read the wait that is named; 0 where none is, or where it is over already."""
        longest_s = LONGEST_BAN_S if refusal.is_ban else LONGEST_WAIT_S
        headers = list(refusal.headers)
        told_s = read_wait(headers, refusal.body, now_ns / NS_PER_SECOND, longest_s)
        if told_s is None and any(name.lower() == "retry-after" for name, _ in headers):
            self.ignored["retry_after"] += 1
        return told_s or 0.0


def is_refusal(status: int, headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether an answer is meant for whoever asks: such a status, or an error that names a time."""
    return status in REFUSALS or (status >= 400 and any(name.lower() == "retry-after" for name, _ in headers))


def refusal_in_close(code: int, reason: str) -> Refusal | None:
    """Read how a server ended a socket as a refusal of whoever asks so often; None where it says nothing of that."""
    if code != TRY_LATER and not _TOO_MANY_WORDS.search(reason):
        return None
    return Refusal(429, (), reason, f"closed with {code} {reason}".rstrip())


def _sentence(refusal: Refusal) -> str:
    if refusal.is_of_region:
        step = "run obflow where it does, or set producer.rest_url and producer.websocket_url"
        return f"the venue serves nobody from here (HTTP {refusal.status}): {step}"
    if refusal.told:
        return f"the venue refuses requests ({refusal.told[:TOLD_CHARACTERS]})"
    if refusal.status == 403:
        return "the venue turns this address away (HTTP 403): a firewall's answer, which no retry changes"
    return f"the venue refuses requests (HTTP {refusal.status})"
