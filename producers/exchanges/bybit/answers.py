"""The answers of Bybit's REST interface: instrument lists, a page each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from orderbook.decimals import Steps
from producers.contract import Channel
from producers.decoding import decoded, read_list
from producers.messages import Ignored, Instrument, Notice, NoticeKind, VenueMessage
from schemas.errors import UnknownMessage
from schemas.messages import ContractKind

MAX_TEXT: Final = 500
TOO_MANY: Final = frozenset({10006, 10018, 10429, 20003})
"""Codes of an error that is about how often this address or session asks, with status 200."""
UNAVAILABLE: Final = frozenset({10000, 10016})
"""Codes of an error that is the venue's own: timed out, an internal error."""
TRADING: Final = frozenset({"", "Trading"})
"""What the list says of an instrument that trades; others it documents are PreLaunch, Settling and Delivering."""
DELISTED: Final = frozenset({"Closed"})
"""What it says of one that will not trade again."""


class _BybitRest(msgspec.Struct):
    """Any REST answer; a refusal has another code than 0."""

    retCode: int  # noqa: N815 (the venue's name)
    retMsg: str = ""  # noqa: N815 (the venue's name)
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _BybitResult(msgspec.Struct):
    category: str = ""
    list: msgspec.Raw = msgspec.Raw(b"")
    nextPageCursor: str | None = None  # noqa: N815 (the venue's name)
    b: msgspec.Raw = msgspec.Raw(b"")


class _BybitPriceFilter(msgspec.Struct):
    tickSize: str  # noqa: N815 (the venue's name)


class _BybitLotFilter(msgspec.Struct):
    qtyStep: str = ""  # noqa: N815 (the venue's name)
    basePrecision: str = ""  # noqa: N815 (the venue's name)


class BybitInstrument(msgspec.Struct):
    """An entry of the instrument list; spot has neither a contract type nor a delivery."""

    symbol: str
    baseCoin: str  # noqa: N815 (the venue's name)
    quoteCoin: str  # noqa: N815 (the venue's name)
    priceFilter: _BybitPriceFilter  # noqa: N815 (the venue's name)
    lotSizeFilter: _BybitLotFilter  # noqa: N815 (the venue's name)
    status: str = ""
    contractType: str = ""  # noqa: N815 (the venue's name)
    deliveryTime: str = "0"  # noqa: N815 (the venue's name)


class BybitDialect(NamedTuple):
    """Where the venues' words differ.

    Attributes:
        venue: Exchange id.
        kind: Kind of a listed instrument.
        canonical: Its canonical name.
    """

    venue: str
    kind: Callable[[BybitInstrument], ContractKind]
    canonical: Callable[[BybitInstrument], str]


_REST = msgspec.json.Decoder(_BybitRest)
_RESULT = msgspec.json.Decoder(_BybitResult)
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_LISTED = msgspec.json.Decoder(BybitInstrument)


def parse_answer(raw: bytes, request: str, dialect: BybitDialect) -> VenueMessage:
    """Read the answer to a request; errors as `Exchange.parse`."""
    answer = decoded(_REST, raw, Channel.INSTRUMENTS)
    if answer.retCode:
        kind = NoticeKind.UNAVAILABLE if answer.retCode in UNAVAILABLE else NoticeKind.REFUSED
        kind = NoticeKind.TOO_MANY if answer.retCode in TOO_MANY else kind
        return Notice(kind, f"{answer.retCode} {answer.retMsg}"[:MAX_TEXT])
    result = decoded(_RESULT, bytes(answer.result), Channel.INSTRUMENTS)
    if result.b:
        return Ignored("orderbook_rest")  # it numbers the topic of 1,000 levels, which is not ours
    if not result.list:
        raise UnknownMessage("neither an instrument list nor a book")
    entries = decoded(_ENTRIES, bytes(result.list), Channel.INSTRUMENTS)
    found = read_list(entries, lambda entry: _instrument(_LISTED.decode(entry), dialect), named_by="symbol")
    return msgspec.structs.replace(found, more=_next_page(request, result.nextPageCursor or ""))


def _next_page(request: str, cursor: str) -> str:
    """Path and query of the page behind this one; the venue gives its cursor with reserved characters quoted."""
    if not cursor or not request:
        return ""
    return f"{re.sub('&cursor=[^&]*', '', request)}&cursor={quote(cursor, safe='%')}"


def _instrument(entry: BybitInstrument, dialect: BybitDialect) -> Instrument:
    return Instrument(
        venue=dialect.venue,
        symbol=entry.symbol,
        tick_size=Steps(entry.priceFilter.tickSize).step,
        lot_size=Steps(entry.lotSizeFilter.qtyStep or entry.lotSizeFilter.basePrecision).step,
        canonical=dialect.canonical(entry),
        contract_kind=dialect.kind(entry),
        trading_status="" if entry.status in TRADING else entry.status[:40],
        is_delisted=entry.status in DELISTED,
    )
