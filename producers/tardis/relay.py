"""A venue as a relay of Tardis's data streams it: a WebSocket an instrument, and what the relay answers over HTTP.

| message | what becomes of it |
|---|---|
| `snapshot`, `delta`, `trade` and the other shapes of `producers.tardis.shapes` | as there; a whole book replaces |
| `{"type":"ping"}` | `Reply`: the same with `pong` |
| `pong`, `subscribed`, `unsubscribed`, `info` | counted |
| `error` | `Notice`: refused; the instrument alone where it names one, unless it is about how often we come |
| REST | the venue's own instrument list: a relay has none |

A whole book comes with a subscription alone, so that a book that broke here is had by connecting anew; each connection
carries one instrument, and no other suffers. Written from a description that several resellers share.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from producers.contract import Alternative, Channel, Endpoints, Exchange, Fetch, FrameReader, Keepalive, Rate, Say
from producers.messages import Frame, Ignored, Notice, NoticeKind, Reply, VenueMessage, Via
from producers.shapes import FrameShapes, KindShape
from producers.tardis.decoding import UNREADABLE
from producers.tardis.shapes import ShapesReader, moment_ns
from schemas.errors import DecodeError
from schemas.messages import ContractKind

CHANNELS: Final = ("orderbook", "trades")
PING_SECONDS: Final = 20.0
LIFETIME_SECONDS: Final = 24 * 3600.0
"""Of a connection whose credentials do not end."""
PASSED_OVER: Final = frozenset({"pong", "subscribed", "unsubscribed", "info"})
MAX_TEXT: Final = 500
_TOO_MANY: Final = re.compile(r"too (?:many|frequent)|rate.?limit", re.IGNORECASE)
"""How an error says that it is about how often we come, whatever instrument it names."""
D = TypeVar("D")
_SIDES: Final = "symbol data timestamp local_timestamp update_id seq bids asks b a"
_DEAL: Final = "symbol data timestamp local_timestamp id trade_id side price quantity amount size"
SHAPES: Final = FrameShapes(
    "type",
    " ",
    0,
    "error",
    "type exchange",
    {
        **{kind: KindShape("", "", _SIDES) for kind in ("snapshot", "delta", "book")},
        "trade": KindShape("", "", _DEAL, "price"),
    },
)
"""What the messages of a relay consist of, as its description has them."""


class _RelayHead(msgspec.Struct, gc=False):
    type: str = ""
    message: str = ""
    symbol: str = ""


_HEAD = msgspec.json.Decoder(_RelayHead)


class Credentials(msgspec.Struct, frozen=True):
    """What a relay gives for its key.

    Attributes:
        stream_url: Address of its WebSocket.
        api_key: The key that it wants there.
        expires_ns: When that ends, ns UTC; null where it does not.
        remaining: Messages that are left of the quota; null where it does not say.
    """

    stream_url: str
    api_key: str
    expires_ns: int | None = None
    remaining: int | None = None

    def lifetime_s(self, now_ns: int) -> float:
        """Tell how long a connection may live: half of what they are good for, and they are renewed as often.

        So the oldest that a connection is opened with outlive it.
        """
        return LIFETIME_SECONDS if self.expires_ns is None else min(LIFETIME_SECONDS, (self.expires_ns - now_ns) / 2e9)


class Quota(msgspec.Struct, frozen=True):
    """Messages that a key is good for; null where the relay does not say."""

    remaining: int | None = None
    limit: int | None = None


class _RelayCredentials(msgspec.Struct):
    stream_url: str
    api_key: str
    expires_at: str | int | None = None
    message_quota_remaining: int | None = None


class _RelayQuota(msgspec.Struct):
    remaining: int | None = None
    limit: int | None = None


class _RelayVerified(msgspec.Struct):
    quota: _RelayQuota | None = None
    message_quota_remaining: int | None = None
    message_quota: int | None = None


def read_credentials(body: bytes) -> Credentials:
    """Read the answer to a request for credentials.

    Raises:
        DecodeError: It is none, or its address or key is none.
    """
    found = _decoded(body, _RelayCredentials)
    url = urlsplit(found.stream_url)
    if url.scheme not in ("ws", "wss") or not url.hostname:
        raise DecodeError("its stream_url is no address of a WebSocket")
    if not found.api_key or not found.api_key.isascii() or not found.api_key.isprintable():
        raise DecodeError("its api_key is no key")
    expires_ns = None if found.expires_at is None else moment_ns(found.expires_at)
    return Credentials(found.stream_url, found.api_key, expires_ns, found.message_quota_remaining)


def read_quota(body: bytes) -> Quota:
    """Read the answer to a request to verify a key.

    Raises:
        DecodeError: It is none.
    """
    found = _decoded(body, _RelayVerified)
    quota = found.quota or _RelayQuota(found.message_quota_remaining, found.message_quota)
    return Quota(quota.remaining, quota.limit)


def _decoded(body: bytes, kind: type[D]) -> D:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise DecodeError(f"not what a relay answers: {error}") from None


class RelayReader:
    """Reads a relay's messages as frames of a venue, and the venue's own answers; see `producers.contract.FrameReader`.

    Args:
        venue: The venue whose data they are.
        is_chain: As of `ShapesReader`.
    """

    checksum = None
    shares_update_ids = False
    deltas = None
    sequence = ShapesReader.sequence

    def __init__(self, venue: FrameReader, *, is_chain: bool = False) -> None:
        self.venue = venue.venue
        self._venue = venue
        self._shapes = ShapesReader(venue, is_chain=is_chain)

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name, as the venue does."""
        return self._venue.contract_kind(symbol)

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read one message; over REST it is the venue itself that answered."""
        if frame.via is Via.REST:
            return self._venue.parse(frame)
        try:
            head = _HEAD.decode(frame.raw)
        except UNREADABLE as error:
            raise DecodeError(f"no message of a relay: {error}") from None
        if head.type == "ping":
            return [Reply(b'{"type":"pong"}')]
        if head.type == "error":
            kind = NoticeKind.TOO_MANY if _TOO_MANY.search(head.message) else NoticeKind.REFUSED
            return [Notice(kind, head.message[:MAX_TEXT] or "it does not say why", head.symbol)]
        return [Ignored(head.type)] if head.type in PASSED_OVER else self._shapes.parse(frame)


class RelayStream(RelayReader):
    """The venue; see `producers.contract.Exchange`.

    Args:
        venue: The venue itself.
        url: Address of the relay's WebSocket.
        lifetime_s: A connection is handed over before it is so old.
        depth: Levels a side that are asked for.
        is_chain: Whether `update_id` rises by one, so that it tells of what is missing.
    """

    shapes = SHAPES
    keepalive = Keepalive(message=b'{"type":"ping"}', every_s=PING_SECONDS)
    derivatives = None

    def __init__(self, venue: Exchange, url: str, lifetime_s: float, *, depth: int, is_chain: bool) -> None:
        super().__init__(venue, is_chain=is_chain)
        self._listed = venue
        self._depth = depth
        self.endpoints = Endpoints(websocket=url, rest=venue.endpoints.rest)
        self.limits = venue.limits._replace(
            streams_per_connection=1,
            streams_per_message=1,
            client_messages=Rate(5, 1),  # none is documented, and no more is needed
            connects=Rate(5, 1),
            lifetime_s=lifetime_s,
        )

    def websocket_path(self, symbol: str) -> str:
        """Add nothing to the address that the relay gave."""
        del symbol
        return ""

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name the one connection."""
        return (symbol,)

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what subscribes to these instruments; nothing acknowledges it."""
        wanted = {"type": "subscribe", "channels": CHANNELS, "symbols": list(symbols)}
        return [Say(msgspec.json.encode({**wanted, "depth": self._depth, "snapshot": True}))]

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name none."""
        del channel, symbols
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say nothing: the connection ends."""
        del symbols
        return []

    def recover(self, symbol: str, failed: int = 0) -> list[Say]:
        """Say nothing: a whole book comes with a new connection."""
        del symbol, failed
        return []

    def poll(self, symbol: str) -> None:
        """Name nothing: a relay has no more than it streams."""
        del symbol

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Ask the venue itself."""
        return self._listed.listings(symbols)
