"""The venue's instrument list: asked for in its shortest form, and again until it answers; what cannot change ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from difflib import get_close_matches

import structlog

from obflow.backoff import Backoff
from obflow.clock import Clock
from obflow.log_limits import LineLimit, cause_of
from producers.contract import Exchange, Fetch
from producers.live.rest import RequestRefused, RestClient
from producers.messages import Frame, Instrument, InstrumentList, Via
from producers.recordings.writer import FrameWriter
from producers.selection import Selection, quote_of
from schemas.errors import Backpressure, ExchangeUnreachable, MessageError, UsageError

MAX_PAGES = 50
"""Of one list: a venue that names ever another one is not followed for good."""

log = structlog.get_logger(__name__)


async def read_list(rest: RestClient, exchange: Exchange, symbols: Sequence[str], *, clock: Clock) -> InstrumentList:
    """Read the venue's list once, of these instruments alone where it can be had so.

    Raises:
        ExchangeUnreachable, Backpressure: It gives none now.
        MessageError: What it gave is no list.
        UsageError: The list cannot be had at all.
    """
    _, listed = await _ListFetcher(rest, exchange, clock).ask_for(symbols)
    return listed


async def find_instruments(
    rest: RestClient,
    exchange: Exchange,
    wanted: Selection | Sequence[str],
    *,
    clock: Clock,
    stop: asyncio.Event,
    tap: FrameWriter | None,
    patience_s: float | None = None,
) -> dict[str, Instrument]:
    """Find the instruments and their grids in the venue's list; ask again until it answers.

    A venue that refuses a list of these names alone is asked which of them it refuses, and for the whole list, which
    tells what was meant.

    Args:
        rest: The venue's REST interface.
        exchange: The venue.
        wanted: What is wanted: symbols, or what else selects.
        clock: When the list was received.
        stop: Ends the asking; then there are none.
        tap: Keeps the list.
        patience_s: Give up after so long; None never does.

    Raises:
        UsageError: The venue does not trade a symbol, gives no grid for it, or its list is larger than a frame may be.
        ExchangeUnreachable: It did not answer in time.
    """
    selection = wanted if isinstance(wanted, Selection) else Selection(tuple(wanted))
    asking, waiting = _ListFetcher(rest, exchange, clock), _ListPauses(exchange.venue, stop, patience_s)
    while not stop.is_set():
        try:
            frames, listed = await asking.ask_for(selection.named)
        except (ExchangeUnreachable, Backpressure, MessageError) as error:
            await waiting.after(error)
            continue
        if listed.weight_per_minute is not None:
            rest.limit_weight(listed.weight_per_minute)
        found = _choose(exchange, selection, listed)
        if tap is not None:
            for frame in frames:
                tap.write(frame)
        return found
    return {}


class _ListPauses:
    """Waits between two askings for a list, and tells why, until its patience ends."""

    def __init__(self, venue: str, stop: asyncio.Event, patience_s: float | None) -> None:
        self._venue = venue
        self._stop = stop
        self._patience_s = patience_s
        self._backoff, self._limit = Backoff(), LineLimit()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def after(self, error: ExchangeUnreachable | Backpressure | MessageError) -> None:
        """Wait after an asking that failed.

        Raises:
            ExchangeUnreachable: It was asked for long enough.
        """
        now_s = self._loop.time()
        if self._patience_s is not None and now_s - self._began >= self._patience_s:
            raise ExchangeUnreachable(error.cause, next_step=error.next_step) from None
        wait_s = self._backoff.next_s(error.retry_after_s if isinstance(error, Backpressure) else 0.0)
        if self._limit.take(cause_of(self._venue, error.cause), now_s) is not None:
            more = {} if self._patience_s is None else {"gives_up_after_s": self._patience_s}
            log.warning("instruments_not_listed", error=str(error), retry_s=round(wait_s, 1), **more)
        await _wait(self._stop, wait_s)


class _ListFetcher:
    """Asks for a list, in part where the venue lets it."""

    def __init__(self, rest: RestClient, exchange: Exchange, clock: Clock) -> None:
        self._rest = rest
        self._exchange = exchange
        self._clock = clock
        self._refused: Sequence[str] = ()

    async def ask_for(self, symbols: Sequence[str]) -> tuple[list[Frame], InstrumentList]:
        """Ask for these, or for all where they cannot be had."""
        whole = self._exchange.listings()
        if not self._refused:
            fetches = self._exchange.listings(symbols)
            try:
                return await self._ask(fetches)
            except RequestRefused:
                if fetches == whole:
                    raise
            self._refused = await self._refused_of(symbols) or symbols
        try:
            return await self._ask(whole)
        except (ExchangeUnreachable, UsageError):
            names = ", ".join(self._refused)
            raise UsageError(
                f"{self._exchange.venue} refuses to list {names}", next_step="check how the venue writes it"
            ) from None

    async def _refused_of(self, symbols: Sequence[str]) -> list[str]:
        """Find the names for which a list is refused, half by half."""
        if len(symbols) == 1:
            return list(symbols)
        middle, refused = len(symbols) // 2, []
        for half in (symbols[:middle], symbols[middle:]):
            try:
                await self._ask(self._exchange.listings(half))
            except RequestRefused:
                refused += await self._refused_of(half)
        return refused

    async def _ask(self, fetches: Sequence[Fetch]) -> tuple[list[Frame], InstrumentList]:
        frames, lists = [], []
        for fetch in fetches:
            async for frame, listed in self._pages(fetch):
                frames.append(frame)
                lists.append(listed)
        listed = _joined(lists)
        if not listed.instruments and not listed.unreadable:  # no venue trades nothing: it is not itself
            raise ExchangeUnreachable(
                f"{self._exchange.venue} lists no instrument at all",
                next_step="ask it later: it is the venue's to mend",
            )
        return frames, listed

    async def _pages(self, fetch: Fetch) -> AsyncIterator[tuple[Frame, InstrumentList]]:
        """Ask for a list and for what it says there is more of it."""
        for _ in range(MAX_PAGES):
            frame = await self._answer(fetch)
            listed = await asyncio.to_thread(self._one, frame)  # megabytes: frames of books need not wait for it
            yield frame, listed
            if not listed.more:
                return
            fetch = fetch._replace(path=listed.more)
        raise UsageError(
            f"the instrument list of {self._exchange.venue} has more than {MAX_PAGES} pages",
            next_step="check producer.rest_url",
        )

    async def _answer(self, fetch: Fetch) -> Frame:
        body = await self._rest.get(fetch)
        return Frame(self._clock.now_ns(), Via.REST, request=fetch.path, raw=body)

    def _one(self, frame: Frame) -> InstrumentList:
        most, venue = self._rest.max_bytes, self._exchange.venue
        if len(frame.raw) > most:
            raise UsageError(
                f"the instrument list of {venue} has more than {most} bytes",
                next_step="raise producer.max_frame_bytes; asking again would change nothing",
            )
        for message in self._exchange.parse(frame):
            if isinstance(message, InstrumentList):
                return message
        raise ExchangeUnreachable(
            f"{venue} gave no instrument list ({frame.raw[:200].decode(errors='replace')})",
            next_step="check producer.rest_url",
        )


def _joined(lists: Sequence[InstrumentList]) -> InstrumentList:
    """Put pages together; an entry without a name is none: asked for, it would be refused, and others with it."""
    return InstrumentList(
        tuple(instrument for listed in lists for instrument in listed.instruments if instrument.symbol),
        tuple(name for listed in lists for name in listed.unreadable),
        next((listed.weight_per_minute for listed in lists if listed.weight_per_minute is not None), None),
    )


def _choose(exchange: Exchange, selection: Selection, listed: InstrumentList) -> dict[str, Instrument]:
    known, venue = {instrument.symbol: instrument for instrument in listed.instruments}, exchange.venue
    if selection.is_open:
        return _select(exchange, selection, known)
    chosen = {}
    for symbol in dict.fromkeys(selection.named):
        if symbol in known:
            chosen[symbol] = known[symbol]
        elif symbol in listed.unreadable:
            raise UsageError(f"{venue} gives no usable grid for {symbol}", next_step="leave it out")
        else:
            near = get_close_matches(symbol.upper(), known, n=3)
            step = f"did you mean {', '.join(near)}?" if near else f"it trades {len(known)} others"
            raise UsageError(f"{venue} does not trade {symbol}", next_step=step)
    return chosen


def _select(exchange: Exchange, selection: Selection, known: dict[str, Instrument]) -> dict[str, Instrument]:
    """Take all that trade and can be subscribed."""
    chosen = {symbol: one for symbol, one in known.items() if selection.holds(one) and exchange.streams(symbol)}
    if not chosen:
        quotes = sorted({quote for one in known.values() if (quote := quote_of(one))})
        asked = f" in {', '.join(sorted(selection.quotes))}" if selection.quotes else ""
        raise UsageError(
            f"{exchange.venue} trades nothing{asked}",
            next_step=f"there is {', '.join(quotes[:20]) or 'nothing listed'}",
        )
    return chosen


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
