"""OKX v5 (`okx`): spot (`BTC-USDT`), swaps (`BTC-USDT-SWAP`) and futures (`BTC-USD-250328`).

| channel | message | role | what becomes of it |
|---|---|---|---|
| `books` | `snapshot` | whole book, 400 levels a side | `DepthSnapshot` in the stream |
| | `update` with seqId, prevSeqId | delta | `DepthDelta`, connected by prevSeqId |
| `books-l2-tbt`, `books50-l2-tbt` | the same | | read in recordings; live they need a login |
| `trades` | one a taker's order and price | trade | `TradeTick`; side is the taker's |
| `bbo-tbt`, `books5` | best levels | best quote | `BestQuote`, sampled every 10 and 100 ms |
| `mark-price` | swaps and futures | derivative | `DerivativeTick` with the mark price |
| `funding-rate` | swaps | derivative | with fundingRate; the next is at fundingTime, the one after at nextFundingTime |
| `open-interest` | swaps and futures | derivative | with `oi`, in contracts |
| REST `/api/v5/market/books` | `seqId` | whole book | `DepthSnapshot`, fetched where none comes in the stream |
| REST `/api/v5/public/instruments`, a type at a time | `data` with ctVal, ctType, state | list | `InstrumentList` |
| event `notice`, 64008 | | notice | the connection will end |

Index prices are told by index, not by instrument (`index-tickers`), and left out.

Sizes are contracts on swaps and futures: `ctVal` coins where linear, US dollars where inverse. Before 2022 books had no
numbers; their updates are then known by their time, and held together by the checksum alone. That is 0 since
2026-06-23, which says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from producers.contract import Alternative, Channel, Checksum, Endpoints, Fetch, Keepalive, Rate, Say, VenueLimits
from producers.exchanges.okx import answers, frames
from producers.exchanges.okx.deltas import DELTAS
from producers.exchanges.okx.rules import SUMMED_LEVELS, OkxRule, summed
from producers.exchanges.okx.shapes import SHAPES
from producers.messages import Frame, VenueMessage
from schemas.messages import ContractKind

STREAMS: Final = ("books", "trades", "bbo-tbt")
DERIVATIVES: Final = {
    "SWAP": ("mark-price", "funding-rate", "open-interest"),
    "FUTURES": ("mark-price", "open-interest"),
}
"""What is told of a derivative, by type."""
LEVELS: Final = 400


class OkxExchange:
    """The venue; see `producers.contract.Exchange`.

    Args:
        channels: Channels of an instrument, by its name.
    """

    venue: str = answers.VENUE
    sequence = OkxRule()
    shapes = SHAPES
    checksum = Checksum(SUMMED_LEVELS, summed)
    endpoints = Endpoints(websocket="wss://ws.okx.com:8443", rest="https://www.okx.com")
    limits = VenueLimits(
        streams_per_connection=300,
        streams_per_message=99,  # 64 KB of names are allowed, and 480 messages an hour
        client_messages=Rate(3, 1),
        connects=Rate(3, 1),
        lifetime_s=24 * 3600,  # none is documented: replaced once a day, as anywhere
        weight_per_minute=600,  # 20 requests in 2 s, of lists; books may be asked for twice as often
    )
    keepalive = Keepalive(message=b"ping", every_s=20)  # a connection without data for 30 s is ended
    shares_update_ids = False
    deltas = DELTAS

    def __init__(self, channels: Callable[[str], tuple[str, ...]] = lambda _: STREAMS) -> None:
        self._channels = channels

    @property
    def derivatives(self) -> OkxExchange | None:
        """The same venue, asked for what it tells of derivatives."""
        return OkxExchange(lambda symbol: DERIVATIVES.get(_type_of(symbol), ()))

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name: a contract against `USD` is inverse."""
        quoted = symbol.split("-")[1:]
        if len(quoted) < 2:
            return ContractKind.SPOT
        return ContractKind.INVERSE if quoted[0] == "USD" else ContractKind.LINEAR

    def websocket_path(self, symbol: str) -> str:
        """Give the one path there is."""
        del symbol
        return "/ws/v5/public"

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the messages of one frame."""
        return frames.parse(frame)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name depth, trades, best quotes."""
        return tuple(f"{channel}:{symbol}" for channel in self._channels(symbol))

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what subscribes to these instruments."""
        return [_say("subscribe", symbols, self._channels)]

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name none: what the venue has besides needs a login or comes less often."""
        del channel, symbols
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what ends these subscriptions."""
        return [_say("unsubscribe", symbols, self._channels)]

    def recover(self, symbol: str, failed: int = 0) -> Fetch | list[Say]:
        """Subscribe to its depth anew; where no book came, ask for one, and so on in turns.

        The venue announced that the stream will begin without a book, and it is not known that it does.
        """
        if failed % 2:
            return Fetch(f"/api/v5/market/books?instId={symbol}&sz={LEVELS}&source=0")
        return [_say(op, [symbol], lambda _: STREAMS[:1]) for op in ("unsubscribe", "subscribe")]

    def poll(self, symbol: str) -> None:
        """Name nothing: a channel tells all."""
        del symbol

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Ask for the types that these are of."""
        types = dict.fromkeys(map(_type_of, symbols)) or ("SPOT", "SWAP", "FUTURES")
        return [Fetch(f"/api/v5/public/instruments?instType={each}") for each in types]


OKX = OkxExchange()


def _type_of(symbol: str) -> str:
    end = symbol.rpartition("-")[2]
    return "SWAP" if end == "SWAP" else "FUTURES" if re.fullmatch("[0-9]{6}", end) else "SPOT"


def _say(op: str, symbols: Sequence[str], channels: Callable[[str], Sequence[str]]) -> Say:
    args = [{"channel": channel, "instId": symbol} for symbol in symbols for channel in channels(symbol)]
    keys = tuple(f"{op}:{arg['channel']}:{arg['instId']}" for arg in args)
    return Say(msgspec.json.encode({"op": op, "args": args}), keys)
