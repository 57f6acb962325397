"""A list in pages is followed to its end, and a book that did not come one way is asked for the other way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from producers.contract import Fetch, Say
from producers.exchanges.bybit.contracts import BYBIT
from producers.exchanges.okx.venue import OKX
from producers.live import listing, snapshots
from producers.live.listing import find_instruments
from producers.live.snapshots import BookRecovery
from producers.messages import Instrument
from schemas.errors import ExchangeUnreachable, UsageError
from tests.support.manual_clock import ManualClock

LIST = Path(__file__).parent / "fixtures" / "bybit" / "frames.jsonl"
SYMBOLS = ("OBFUSDT", "ZIGUSDT")


class Rest:
    """Answers a path with what is there for it, else with the last of all."""

    max_bytes = 10**6

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self.bodies = bodies
        self.asked: list[str] = []

    async def get(self, fetch: Fetch) -> bytes:
        self.asked.append(fetch.path)
        return self.bodies.get(fetch.path) or list(self.bodies.values())[-1]


def pages() -> dict[str, bytes]:
    """The recorded pages by their path; inverse contracts there are none."""
    lines = [json.loads(line) for line in LIST.read_text().splitlines()[:2]]
    inverse = '{"retCode":0,"result":{"list":[],"nextPageCursor":""}}'
    return {**{line["request"]: line["raw"].encode() for line in lines}, BYBIT.listings()[1].path: inverse.encode()}


def found(rest: Rest) -> dict[str, Instrument]:
    wanted = find_instruments(
        rest,  # type: ignore[arg-type]
        BYBIT,
        SYMBOLS,
        clock=ManualClock(0),
        stop=asyncio.Event(),
        tap=None,
    )
    return asyncio.run(wanted)


def test_every_page_of_a_list_is_asked_for() -> None:
    rest = Rest(pages())
    assert set(found(rest)) == set(SYMBOLS)
    assert rest.asked == list(pages())


def test_a_list_that_never_ends_is_left_with_a_sentence() -> None:
    first = next(iter(pages()))
    rest = Rest({first: pages()[first]})
    with pytest.raises(UsageError, match=f"more than {listing.MAX_PAGES} pages"):
        found(rest)
    assert len(rest.asked) == listing.MAX_PAGES


class AwayRest(Rest):
    """Does not answer so many times."""

    def __init__(self, bodies: dict[str, bytes], away: int) -> None:
        super().__init__(bodies)
        self.away = away

    async def get(self, fetch: Fetch) -> bytes:
        self.away -= 1
        if self.away >= 0:
            raise ExchangeUnreachable(f"no answer after {self.away} ms", next_step="wait")
        return await super().get(fetch)


def test_of_a_venue_that_is_away_a_line_is_told_now_and_then_and_not_with_each_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(stop: asyncio.Event, seconds: float) -> None:
        del stop, seconds

    monkeypatch.setattr(listing, "_wait", at_once)
    with capture_logs() as lines:
        assert set(found(AwayRest(pages(), away=20))) == set(SYMBOLS)
    assert [line["event"] for line in lines] == ["instruments_not_listed"]


class Source:
    """Hears what is said on the connection; a book that was fetched brings nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, symbol: str, says: Sequence[Say]) -> None:
        self.said.append(f"{symbol}: {len(says)}")

    async def answer(self, *_: object) -> Sequence[object]:
        return ()


def test_a_book_that_did_not_come_in_the_stream_is_fetched_and_then_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "IN_STREAM_SECONDS", 0.0)
    monkeypatch.setattr(snapshots.Backoff, "next_s", lambda *_: 0.0)
    client, source, tasks = Rest({"": b"{}"}), Source(), []

    def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.ensure_future(work))
        return tasks[-1]

    async def play() -> list[tuple[int, int]]:
        recovery = BookRecovery(OKX, client, source, lambda _: True, spawn)  # type: ignore[arg-type]
        ways = []
        for attempt in range(4):
            recovery.request("BTC-USDT")
            recovery.request("BTC-USDT")  # one is under way
            await tasks[-1]
            ways.append((len(source.said), len(client.asked)))
            if attempt == 2:
                recovery.note_live("BTC-USDT")
        return ways

    assert asyncio.run(play()) == [(1, 0), (1, 1), (2, 1), (3, 1)]
    assert source.said == ["BTC-USDT: 2"] * 3
    assert client.asked == ["/api/v5/market/books?instId=BTC-USDT&sz=400&source=0"]


def test_a_book_that_was_given_up_before_its_attempt_began_is_asked_for_again() -> None:
    """A venue ends an instrument in the moment its book is asked for, and lists it anew."""
    client, source, tasks = Rest({"": b"{}"}), Source(), []

    def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.ensure_future(work))
        return tasks[-1]

    async def play() -> None:
        recovery = BookRecovery(BYBIT, client, source, lambda _: True, spawn)  # type: ignore[arg-type]
        recovery.request("OBFUSDT")
        recovery.forget("OBFUSDT")
        await asyncio.wait(tasks)
        recovery.request("OBFUSDT")

    asyncio.run(play())
    assert len(tasks) == 2


def test_an_attempt_that_was_given_up_does_not_keep_the_next_one_waiting() -> None:
    client, source, tasks = Rest({"": b"{}"}), Source(), []

    def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.ensure_future(work))
        return tasks[-1]

    async def play() -> bool:
        recovery = BookRecovery(OKX, client, source, lambda _: True, spawn)  # type: ignore[arg-type]
        recovery.request("BTC-USDT")
        await asyncio.sleep(0)  # it waits for the book in the stream
        recovery.forget("BTC-USDT")
        await asyncio.wait(tasks)
        asked = recovery.request("BTC-USDT")
        recovery.cancel()
        return asked

    assert asyncio.run(play())
    assert len(tasks) == 2
