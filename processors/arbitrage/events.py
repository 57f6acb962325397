"""What is published of a step of an episode."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from processors.arbitrage.legs import Leg
from processors.arbitrage.pairs import ArbitrageRules, PairOpportunity, PairStep
from processors.arbitrage.walk import BPS
from processors.derived.fees import FeeTable
from schemas.messages import ArbitrageEvent, ContractKind, QuoteRecord

ARBITRAGE_VERSION: Final = "x1"
"""Rises when the meaning of an episode changes; a changed setting or fee changes the digest behind it."""


def arbitrage_rules(options: object) -> ArbitrageRules:
    """Take the rules from the settings' section."""
    return msgspec.convert(options, ArbitrageRules, from_attributes=True)


def arbitrage_set(rules: ArbitrageRules, fees: FeeTable) -> str:
    """Version of the rules and digest of all they depend on, as it stands in events."""
    settled = (rules, fees.text, fees.tier)
    return f"{ARBITRAGE_VERSION}-{hashlib.sha256(msgspec.json.encode(settled)).hexdigest()[:8]}"


def arbitrage_event(quote: QuoteRecord, step: PairStep, version: str, place: tuple[str, int, int]) -> ArbitrageEvent:
    """Make the record of a step.

    Args:
        quote: What made the step.
        step: It.
        version: As `arbitrage_set` gives it.
        place: Log, partition and offset of the quote.
    """
    buy, sell, at_ns = step.buy, step.sell, quote.received_ns
    return ArbitrageEvent(
        venue=buy.venue,
        symbol=buy.symbol,
        canonical=quote.canonical,
        sell_venue=sell.venue,
        sell_symbol=sell.symbol,
        feed_source=quote.feed_source,
        action=step.action,
        reason=step.reason,
        episode=step.episode.number,
        step=step.episode.step,
        received_ns=at_ns,
        decided_ns=quote.decided_ns,
        arbitrage_set=version,
        buy_age_ms=buy.age_ms(at_ns),
        sell_age_ms=sell.age_ms(at_ns),
        opened_ns=step.episode.opened_ns,
        source_log=place[0],
        source_partition=place[1],
        source_offset=place[2],
        buy_taker_bps=step.fees_bps[0],
        sell_taker_bps=step.fees_bps[1],
        run=quote.run,
        **({} if step.found is None else numbers_of(buy, step.found)),
    )


def numbers_of(buy: Leg, found: PairOpportunity) -> dict[str, Any]:
    """The numbers of an opportunity. On inverse contracts its cost and proceeds are base, of a size in quote."""
    whole, of_capital = found.whole, found.of_capital
    buy_vwap, sell_vwap = whole.cost / whole.size, whole.proceeds / whole.size
    is_inverse = buy.contract_kind is ContractKind.INVERSE
    if is_inverse:
        buy_vwap, sell_vwap = 1 / sell_vwap, 1 / buy_vwap
    return {
        "size": float(whole.size),
        "buy_vwap": float(buy_vwap),
        "sell_vwap": float(sell_vwap),
        "gross_bps": float((whole.proceeds / whole.cost - 1) * BPS),
        "net_bps": float(whole.net * BPS),
        "profit": float(whole.profit),
        "notional": float(whole.size if is_inverse else whole.cost),
        "capital_profit": None if of_capital is None else float(of_capital.profit),
        "depth_limited": whole.depth_limited,
    }
