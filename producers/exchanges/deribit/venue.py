"""Deribit (`deribit`): perpetuals, futures, options and spot, one WebSocket for all, JSON-RPC.

| channel | message | role | what becomes of it |
|---|---|---|---|
| `book.<instrument>.100ms` | first, or without prev_change_id | whole book, all of it | `DepthSnapshot` in the stream |
| | `change` with prev_change_id | delta | `DepthDelta` |
| `trades.<instrument>.100ms` | direction is the taker's | trade | `TradeTick`; blocks and legs are counted apart |
| `quote.<instrument>` | best levels, when they changed | best quote | `BestQuote`, sampled |
| `ticker.<instrument>.100ms` | not of spot | derivative | `DerivativeTick`: mark, index, open interest, funding |
| `test_request` | the venue asks whether we are there | heartbeat | `Reply` with `public/test` |
| REST `public/get_instruments`, `public/get_instrument` | | instrument list | `InstrumentList` |

Funding is paid all the time: `current_funding` is the present rate for 8 hours, and there is no next one. Open interest
is in the unit of the amounts.

`raw` in place of `100ms` needs credentials since 2022 (`login`), and is had by `private/subscribe`: `RAW_DERIBIT`.
Amounts are US dollars on inverse perpetuals and futures, coins on linear ones and options, so that a contract is worth
1 everywhere. Trades that were negotiated as a block, and legs of combinations, met nothing in the book. Which channels
a subscription accepted is in its answer, and each is compared with what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from producers.contract import Alternative, Channel, Endpoints, Fetch, Keepalive, Rate, Say, VenueLimits
from producers.exchanges.deribit import answers, frames
from producers.exchanges.deribit.deltas import DELTAS
from producers.exchanges.deribit.rules import DeribitRule
from producers.exchanges.deribit.shapes import SHAPES
from producers.messages import Frame, VenueMessage
from schemas.messages import ContractKind

SUBSCRIBE: Final = "subscribe"
UNSUBSCRIBE: Final = "unsubscribe"
SET_HEARTBEAT: Final = "public/set_heartbeat"
HEARTBEAT_SECONDS: Final = 30
RAW: Final = "raw"
MAX_LISTED: Final = 10
"""Instruments asked for one by one; for more than that the whole list is asked, which may be had once in 10 s."""


class DeribitExchange:
    """The venue; see `producers.contract.Exchange`.

    Args:
        channels: Channels of an instrument, by its name.
        speed: How often depth and trades come: `100ms`, or `raw`, each change, on connections that are logged in.
    """

    venue: str = answers.VENUE
    sequence = DeribitRule()
    shapes = SHAPES
    checksum = None
    endpoints = Endpoints(websocket="wss://www.deribit.com", rest="https://www.deribit.com")
    limits = VenueLimits(
        streams_per_connection=300,
        streams_per_message=300,  # 500 are allowed
        client_messages=Rate(3, 1),  # a subscription costs 3,000 credits, of which 10,000 come back a second
        connects=Rate(32, 60),  # so many connections one address may have
        lifetime_s=24 * 3600,  # none is documented: replaced once a day, as anywhere
        weight_per_minute=1200,  # 500 credits a request, 10,000 a second
        message_bytes=8_000,  # of some 11,000 it says "request entity too large", as clients report
    )
    keepalive = Keepalive(
        begin=(Say(frames.request(SET_HEARTBEAT, {"interval": HEARTBEAT_SECONDS}), (SET_HEARTBEAT,)),)
    )
    deltas = DELTAS
    shares_update_ids = False  # what is put together every 100 ms differs between connections

    def __init__(self, channels: Callable[[str], tuple[str, ...]] | None = None, speed: str = "100ms") -> None:
        self._speed = speed
        self._channels = channels or (
            lambda symbol: (self._depth(symbol), f"trades.{symbol}.{speed}", f"quote.{symbol}")
        )

    @property
    def derivatives(self) -> DeribitExchange | None:
        """The same venue, asked for tickers."""
        spot = ContractKind.SPOT
        return DeribitExchange(lambda name: () if self.contract_kind(name) is spot else (f"ticker.{name}.100ms",))

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name: options end in C or P, linear ones name what they are paid in."""
        if symbol.endswith(("-C", "-P")):
            return ContractKind.OPTION
        if "_" in symbol:
            return ContractKind.LINEAR if "-" in symbol else ContractKind.SPOT
        return ContractKind.INVERSE

    def websocket_path(self, symbol: str) -> str:
        """Give the one path there is."""
        del symbol
        return "/ws/api/v2"

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the messages of one frame."""
        return frames.parse(frame)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name depth, trades, best quotes."""
        return self._channels(symbol)

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what subscribes to these instruments."""
        return [self._say(SUBSCRIBE, [channel for symbol in symbols for channel in self.streams(symbol)])]

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name none: the other intervals need credentials or come less often."""
        del channel, symbols
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what ends these subscriptions."""
        return [self._say(UNSUBSCRIBE, [channel for symbol in symbols for channel in self.streams(symbol)])]

    def recover(self, symbol: str, failed: int = 0) -> list[Say]:
        """Subscribe to its depth anew: the whole book comes first (step 1 of the rule)."""
        del failed
        return [self._say(method, [self._depth(symbol)]) for method in (UNSUBSCRIBE, SUBSCRIBE)]

    def poll(self, symbol: str) -> None:
        """Name nothing: a channel tells all."""
        del symbol

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Ask for few by name, or for all that have not expired."""
        if not 0 < len(symbols) <= MAX_LISTED:
            return [Fetch("/api/v2/public/get_instruments?currency=any&expired=false")]
        path = "/api/v2/public/get_instrument?instrument_name="
        return [Fetch(path + quote(symbol, safe="")) for symbol in dict.fromkeys(symbols)]

    def _depth(self, symbol: str) -> str:
        return f"book.{symbol}.{self._speed}"

    def _say(self, what: str, channels: Sequence[str]) -> Say:
        method = f"{'private' if self._speed == RAW else 'public'}/{what}"
        return Say(frames.request(method, {"channels": list(channels)}), tuple(f"{method}:{name}" for name in channels))


DERIBIT = DeribitExchange()
RAW_DERIBIT = DeribitExchange(speed=RAW)
"""The same with every change of a book and every trade by itself; its connections log in first."""
