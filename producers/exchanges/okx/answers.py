"""The answers of OKX's REST interface: books and instrument lists."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from orderbook.decimals import Steps
from producers.contract import Channel
from producers.decoding import Id, Level, decoded, pairs, read_list
from producers.exchanges.okx.times import nanoseconds
from producers.messages import DepthSnapshot, Ignored, Instrument, Notice, NoticeKind, VenueMessage
from schemas.errors import DecodeError, InvalidNumber
from schemas.messages import ContractKind, Coverage

VENUE: Final = "okx"
TOO_MANY: Final = frozenset({"50011", "50061", "60014"})
"""Codes of an error that is about how often this address or connection asks."""
UNAVAILABLE: Final = frozenset({"50001", "50004", "50013", "50026"})
"""Codes of an error that is the venue's own: unavailable, timed out, busy, a system error."""
MAX_TEXT: Final = 500

Previous = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
"""-1 on a snapshot: it follows nothing."""


class OkxBook(msgspec.Struct):
    """The book in a message of depth."""

    asks: list[Level]
    bids: list[Level]
    ts: str
    seqId: Id | None = None  # noqa: N815 (the venue's name)
    prevSeqId: Previous | None = None  # noqa: N815 (the venue's name)
    checksum: int | None = None


class _OkxRest(msgspec.Struct):
    code: str
    msg: str = ""
    data: list[msgspec.Raw] = []


class _OkxEntry(msgspec.Struct):
    """An entry of the instrument list; the fields after `state` are contracts'."""

    instId: str  # noqa: N815 (the venue's name)
    instType: Literal["SPOT", "SWAP", "FUTURES"]  # noqa: N815 (the venue's name)
    tickSz: str  # noqa: N815 (the venue's name)
    lotSz: str  # noqa: N815 (the venue's name)
    state: str = ""
    ctVal: str = ""  # noqa: N815 (the venue's name)
    ctMult: str = ""  # noqa: N815 (the venue's name)
    ctType: Literal["", "linear", "inverse"] = ""  # noqa: N815 (the venue's name)


_REST = msgspec.json.Decoder(_OkxRest)
_BOOK = msgspec.json.Decoder(OkxBook)
_ENTRY = msgspec.json.Decoder(_OkxEntry)


def parse_answer(raw: bytes, request: str) -> VenueMessage:
    """Read the answer to a request; errors as `Exchange.parse`."""
    answer, url = decoded(_REST, raw, Channel.INSTRUMENTS), urlsplit(request)
    if answer.code != "0":
        return refusal(answer.code, answer.msg)
    if url.path.endswith("/books"):
        if not answer.data:
            return Notice(NoticeKind.REFUSED, "an answer without a book")
        return _whole(bytes(answer.data[0]), "".join(parse_qs(url.query).get("instId", [])))
    if url.path and not url.path.endswith("/instruments"):
        return Ignored(f"answer_{url.path.rpartition('/')[2][:32]}")
    return read_list(answer.data, lambda entry: _instrument(_ENTRY.decode(entry)), named_by="instId")


def _whole(raw: bytes, symbol: str) -> DepthSnapshot:
    """Read a book over REST, which has to say its number: without one no update can be placed behind it."""
    book = decoded(_BOOK, raw, Channel.SNAPSHOT, symbol)
    if book.seqId is None:
        raise DecodeError("a book without seqId", channel=Channel.SNAPSHOT, symbol=symbol)
    time = nanoseconds(book.ts, Channel.SNAPSHOT, symbol)
    return DepthSnapshot(symbol, book.seqId, pairs(book.bids), pairs(book.asks), time, coverage=Coverage.TOP_N)


def _instrument(entry: _OkxEntry) -> Instrument:
    if entry.ctMult not in ("", "1"):
        raise InvalidNumber(f"a contract multiplier of {entry.ctMult[:40]}")
    if entry.instType != "SPOT" and not entry.ctType:  # taken for spot, its notional would be another
        raise DecodeError("a contract without its kind")
    return Instrument(
        venue=VENUE,
        symbol=entry.instId,
        tick_size=Steps(entry.tickSz).step,
        lot_size=Steps(entry.lotSz).step,
        canonical=_canonical(entry),
        contract_value="1" if entry.instType == "SPOT" else Steps(entry.ctVal).step,
        contract_kind=ContractKind(entry.ctType) if entry.ctType else ContractKind.SPOT,
        trading_status="" if entry.state in ("", "live") else entry.state[:40],
        is_delisted=entry.state == "expired",
    )


def _canonical(entry: _OkxEntry) -> str:
    """`BTC-USDT-SPOT`, `BTC-USDT-PERP`, `BTC-USD-250328`."""
    base, _, rest = entry.instId.partition("-")
    quote, _, kind = rest.partition("-")
    name = {"SPOT": "SPOT", "SWAP": "PERP"}.get(entry.instType, kind)
    if not (base and quote and name):
        raise DecodeError("a name that is none of its type")
    return f"{base}-{quote}-{name}"


def refusal(code: str, message: str, symbol: str = "") -> Notice:
    """Say what is refused: this request, or whoever asks so often."""
    kind = NoticeKind.UNAVAILABLE if code in UNAVAILABLE else NoticeKind.REFUSED
    kind = NoticeKind.TOO_MANY if code in TOO_MANY else kind
    return Notice(kind, f"{code} {message}"[:MAX_TEXT], symbol)
