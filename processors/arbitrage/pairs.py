"""One canonical symbol's pairs: the episodes that a new quote opens, raises and closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import msgspec

from processors.arbitrage.legs import Leg
from processors.arbitrage.walk import Opportunity, common_lot, fraction_of_bps, walk
from processors.derived.fees import FeeTable
from schemas.messages import ArbitrageAction, ArbitrageReason, ContractKind
from schemas.units import NS_PER_MS, NS_PER_SECOND


class ArbitrageRules(msgspec.Struct, frozen=True):
    """Settings of the stage. Defaults and meanings stand in the settings, section `arbitrage`, by these names."""

    bar_bps: float
    fresh_seconds: float
    max_clock_skew_ms: float
    min_notional: float
    capital: float
    peak_share: float

    @property
    def allowed_ns(self) -> int:
        """Greatest age of a book."""
        return round(self.fresh_seconds * NS_PER_SECOND - self.max_clock_skew_ms * NS_PER_MS)


class PairEpisode(msgspec.Struct):
    """What is known of one ordered pair. Serialisable as it stands.

    Attributes:
        number: Of its last episode; 0 before the first.
        step: Of the last step told.
        is_open: Whether that episode goes on.
        opened_ns: When it opened.
        told_profit: The profit last told.
    """

    number: int = 0
    step: int = 0
    is_open: bool = False
    opened_ns: int = 0
    told_profit: float = 0.0


class PairOpportunity(NamedTuple):
    """A size that clears the bar, of a pair."""

    whole: Opportunity
    of_capital: Opportunity | None


class PairStep(NamedTuple):
    """A step of an episode."""

    buy: Leg
    sell: Leg
    action: ArbitrageAction
    reason: ArbitrageReason
    episode: PairEpisode
    found: PairOpportunity | None
    fees_bps: tuple[float | None, float | None]


class PairState(msgspec.Struct):
    """Memory of one canonical symbol: the newest quotes by instrument, episodes by ordered pair. Serialisable."""

    legs: dict[str, Leg] = {}
    episodes: dict[str, PairEpisode] = {}


def take_leg(
    state: PairState, leg: Leg, rules: ArbitrageRules, fees: FeeTable, counts: Counter[str]
) -> Iterator[PairStep]:
    """Take an instrument's new quote, and yield the steps of the pairs it is in.

    Args:
        state: The canonical symbol's memory; changed as steps are yielded.
        leg: The quote.
        rules: Settings.
        fees: Of the venues.
        counts: Counts what was passed over.
    """
    known = state.legs.get(leg.name)
    if known is not None and known.source_log == leg.source_log and known.source_offset >= leg.source_offset:
        counts["already_processed"] += 1
        return
    state.legs[leg.name] = leg
    for other in sorted(state.legs.values(), key=lambda one: one.name):
        if other.name == leg.name or other.feed_source is not leg.feed_source:
            continue
        for buy, sell in ((leg, other), (other, leg)):
            step = _judge(state, buy, sell, leg.received_ns, rules, fees, counts)
            if step is not None:
                yield step


def _judge(
    state: PairState, buy: Leg, sell: Leg, at_ns: int, rules: ArbitrageRules, fees: FeeTable, counts: Counter[str]
) -> PairStep | None:
    name = f"{buy.name}>{sell.name}"
    episode = state.episodes.get(name, PairEpisode())
    rows = [fees.in_force(leg.venue, at_ns, leg.contract_kind) for leg in (buy, sell)]
    costs = tuple(None if row is None else row.taker_bps for row in rows)
    is_fresh = buy.is_fresh(at_ns, rules.allowed_ns) and sell.is_fresh(at_ns, rules.allowed_ns)
    found = None
    if None in costs:
        counts["no_fee"] += 1
    elif is_fresh:
        found = find(buy, sell, costs[0] or 0.0, costs[1] or 0.0, rules)
    action = _action(episode, found, rules)
    if action is None:
        return None
    reason = ArbitrageReason.FOUND if found else ArbitrageReason.GONE if is_fresh else ArbitrageReason.NOT_FRESH
    _advance(episode, action, found, at_ns)
    state.episodes[name] = episode
    return PairStep(buy, sell, action, reason, episode, found, (costs[0], costs[1]))


def find(buy: Leg, sell: Leg, buy_bps: float, sell_bps: float, rules: ArbitrageRules) -> PairOpportunity | None:
    """The largest size of a pair that clears the bar and costs enough to be worth a word."""
    if not buy.asks or not sell.bids:
        return None
    if buy_bps >= 0.0 <= sell_bps and sell.best(sell.bids) <= buy.best(buy.asks):
        return None  # no lot can clear any bar, and most pairs are so
    is_inverse = buy.contract_kind is ContractKind.INVERSE
    fees = fraction_of_bps(buy_bps), fraction_of_bps(sell_bps)
    asks, bids = buy.levels(buy.asks), sell.levels(sell.bids)
    if is_inverse:  # in base, one pays 1/p where one sells, and gets 1/p where one buys
        asks, bids = [(1 / price, size) for price, size in bids], [(1 / price, size) for price, size in asks]
        fees = fees[1], fees[0]
    terms = (*fees, fraction_of_bps(rules.bar_bps), common_lot(buy.lot, sell.lot))
    whole = walk(asks, bids, *terms)
    if whole is None or (whole.size if is_inverse else whole.cost) < Fraction(repr(rules.min_notional)):
        return None
    money = Fraction(repr(rules.capital))
    return PairOpportunity(whole, walk(asks, bids, *terms, money * asks[0][0] if is_inverse else money))


def _action(episode: PairEpisode, found: PairOpportunity | None, rules: ArbitrageRules) -> ArbitrageAction | None:
    if found is None:
        return ArbitrageAction.CLOSE if episode.is_open else None
    if not episode.is_open:
        return ArbitrageAction.OPEN
    is_peak = float(found.whole.profit) > episode.told_profit * (1.0 + rules.peak_share)
    return ArbitrageAction.PEAK if is_peak else None


def _advance(episode: PairEpisode, action: ArbitrageAction, found: PairOpportunity | None, at_ns: int) -> None:
    if action is ArbitrageAction.OPEN:
        episode.number, episode.step, episode.is_open, episode.opened_ns = episode.number + 1, 0, True, at_ns
    else:
        episode.step += 1
    if found is None:
        episode.is_open = False
    else:
        episode.told_profit = float(found.whole.profit)
