"""What is subscribed in place of silent channels: each channel by itself, within the venue's limit of streams."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, cast

import pytest

from obflow.clock import SystemClock
from producers.contract import Alternative, Channel, Exchange
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live.connections import Connection
from producers.live.source import VenueSource

PATH = "/beside"
SYMBOLS = [f"S{number}USDT" for number in range(7)]
EACH = 3
"""Streams that fit on a connection: one of each instrument."""


class TwoAlternatives:
    """Binance's futures, with room for few, and with something in place of trades and of quotes on one path."""

    def __init__(self) -> None:
        self.limits = BINANCE_FUTURES.limits._replace(streams_per_connection=EACH)

    def __getattr__(self, name: str) -> Any:
        return getattr(BINANCE_FUTURES, name)

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        if channel is Channel.DEPTH:
            return None
        [said] = BINANCE_FUTURES.subscribe(symbols)
        return Alternative(PATH, [said._replace(acknowledged_by=(f"{channel.value} {' '.join(symbols)}",))])


def never_run(coroutine: Coroutine[Any, Any, None]) -> Any:
    coroutine.close()


@pytest.fixture
def source() -> VenueSource:
    venue = cast("Exchange", TwoAlternatives())
    found = VenueSource(
        venue, SYMBOLS, "ws://127.0.0.1:1", clock=SystemClock(), max_bytes=1, on_oversized=lambda _: None
    )
    found.start(never_run)
    return found


def beside(source: VenueSource) -> list[Connection]:
    return [one for one in source.connections.values() if one.path == PATH]


def said(connection: Connection) -> list[str]:
    return [name for say in connection.subscribe(connection.symbols) for name in say.acknowledged_by]


async def test_silent_instruments_are_placed_within_the_limit_of_a_connection(source: VenueSource) -> None:
    for symbol in [*SYMBOLS, *SYMBOLS]:
        assert source.subscribe_instead(Channel.TRADE, symbol)

    assert [one.symbols for one in beside(source)] == [tuple(SYMBOLS[at : at + EACH]) for at in range(0, 7, EACH)]


async def test_a_second_silent_channel_on_the_same_path_is_subscribed_too(source: VenueSource) -> None:
    assert source.subscribe_instead(Channel.TRADE, "S1USDT")
    assert source.subscribe_instead(Channel.QUOTE, "S1USDT")

    assert [said(one) for one in beside(source)] == [["trade S1USDT"], ["quote S1USDT"]]


async def test_an_instrument_that_ends_makes_room_for_the_next_silent_one(source: VenueSource) -> None:
    for symbol in SYMBOLS[:EACH]:
        source.subscribe_instead(Channel.TRADE, symbol)
    source.unsubscribe(SYMBOLS[0])
    source.subscribe_instead(Channel.TRADE, SYMBOLS[EACH])

    assert [one.symbols for one in beside(source)] == [tuple(SYMBOLS[1 : EACH + 1])]
    assert not any(one.path == PATH for one, _ in source.add(["NEWUSDT"])), "books do not come over these"


async def test_a_channel_without_another_in_its_place_opens_nothing(source: VenueSource) -> None:
    assert not source.subscribe_instead(Channel.DEPTH, "S1USDT")
    assert beside(source) == []
