"""The answers of Deribit's REST interface: instrument lists."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from orderbook.decimals import Steps
from producers.contract import Channel
from producers.decoding import decoded, read_list
from producers.exchanges.deribit.numbers import text_of
from producers.messages import Instrument, InstrumentList
from schemas.messages import ContractKind

VENUE: Final = "deribit"
TRADING: Final = frozenset({"", "open", "started", "created"})
DELISTED: Final = frozenset({"archivized", "closed", "delivered", "settled", "terminated"})
"""What the list says of an instrument that will not trade again."""
_DATE = re.compile(r"([0-9]{1,2})(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)([0-9]{2})")
_MONTHS: Final = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"


class _DeribitEntry(msgspec.Struct):
    """An entry of the instrument list; combinations of instruments are other kinds, and may have prices below zero."""

    instrument_name: str
    kind: Literal["future", "option", "spot"]
    tick_size: float
    min_trade_amount: float
    base_currency: str
    quote_currency: str
    counter_currency: str = ""
    instrument_type: str = ""
    settlement_period: str = ""
    option_type: str = ""
    is_active: bool = True
    state: str = ""


_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_DeribitEntry)


def parse_list(result: bytes) -> InstrumentList:
    """Read the instruments in the result of an answer: several, or the one that was asked for."""
    array = result if result[:1] == b"[" else b"[" + result + b"]"
    entries = decoded(_ENTRIES, array, Channel.INSTRUMENTS)
    return read_list(entries, lambda entry: _instrument(_ENTRY.decode(entry)), named_by="instrument_name")


def _instrument(entry: _DeribitEntry) -> Instrument:
    status = entry.state if entry.is_active or entry.state not in TRADING else "inactive"
    return Instrument(
        venue=VENUE,
        symbol=entry.instrument_name,
        tick_size=Steps(text_of(entry.tick_size)).step,  # the finest: far from the market some are coarser
        lot_size=Steps(text_of(entry.min_trade_amount)).step,
        canonical=_canonical(entry),
        contract_kind=_kind(entry),
        trading_status="" if status in TRADING else status[:40],
        is_delisted=status in DELISTED,
    )


def _kind(entry: _DeribitEntry) -> ContractKind:
    if entry.kind == "future":
        is_linear = entry.instrument_type == "linear" if entry.instrument_type else "_" in entry.instrument_name
        return ContractKind.LINEAR if is_linear else ContractKind.INVERSE
    return ContractKind.OPTION if entry.kind == "option" else ContractKind.SPOT


def _canonical(entry: _DeribitEntry) -> str:
    """`BTC-USD-PERP`, `BTC-USD-241227`, `BTC-USD-241227-50000-C`, `BTC-USDC-SPOT`."""
    pair = f"{entry.base_currency}-{entry.counter_currency or entry.quote_currency}"
    if entry.kind == "spot":
        return f"{pair}-SPOT"
    _, *terms = entry.instrument_name.split("-")
    return "-".join([pair, *(_DATE.sub(_dated, term).replace("PERPETUAL", "PERP") for term in terms)])


def _dated(match: re.Match[str]) -> str:
    return f"{match[3]}{_MONTHS.index(match[2]) // 3 + 1:02d}{int(match[1]):02d}"
