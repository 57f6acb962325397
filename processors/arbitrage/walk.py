"""Two books walked against each other: how much can be bought on one and sold on the other, each lot above the bar.

All is computed in fractions, so that a lot at the bar is neither taken nor left by a rounding; what is told is rounded
once. An inverse contract is walked with prices 1/p and sizes as contracts: buying it is selling its quote.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple

Level = tuple[Fraction, Fraction]
"""Price and size."""
BPS = 10_000


class Opportunity(NamedTuple):
    """The largest size whose every lot clears the bar.

    Attributes:
        size: Base units, on inverse contracts quote.
        cost, proceeds: Of that size, without fees.
        net: Proceeds after their fee over cost with its fee, less 1.
        profit: Proceeds after their fee less cost with its fee.
        depth_limited: Whether a book ended before the bar did.
    """

    size: Fraction
    cost: Fraction
    proceeds: Fraction
    net: Fraction
    profit: Fraction
    depth_limited: bool


def fraction_of_bps(bps: float) -> Fraction:
    """A number of basis points as it is written, exactly: 2.5 is 1/4000."""
    return Fraction(repr(bps)) / BPS


def common_lot(one: Fraction, other: Fraction) -> Fraction:
    """The least size that is whole lots on both."""
    return Fraction(lcm(one.numerator * other.denominator, other.numerator * one.denominator)) / (
        one.denominator * other.denominator
    )


def walk(
    asks: Sequence[Level],
    bids: Sequence[Level],
    buy_fee: Fraction,
    sell_fee: Fraction,
    bar: Fraction,
    lot: Fraction,
    capital: Fraction | None = None,
) -> Opportunity | None:
    """Take lots for as long as b(1 - f_B) - a(1 + f_A) >= bar * a(1 + f_A), and round down to whole lots.

    Args:
        asks: Where to buy, lowest first.
        bids: Where to sell, highest first.
        buy_fee: Taker's fee there, as a fraction.
        sell_fee: The same where one sells.
        bar: What each lot has to bring, as a fraction.
        lot: The common lot.
        capital: Most that may be paid, fee included; null is no limit.

    Returns:
        None where not one lot clears the bar.
    """
    size, ended = _clearing_size(asks, bids, (1 + buy_fee) * (1 + bar), 1 - sell_fee)
    if capital is not None:
        size = min(size, _affordable(asks, capital / (1 + buy_fee)))
    size = size // lot * lot
    if size <= 0:
        return None
    cost, proceeds = _worth(asks, size), _worth(bids, size)
    paid, got = cost * (1 + buy_fee), proceeds * (1 - sell_fee)
    return Opportunity(size, cost, proceeds, got / paid - 1, got - paid, ended)


def _clearing_size(asks: Sequence[Level], bids: Sequence[Level], pay: Fraction, get: Fraction) -> tuple[Fraction, bool]:
    """How much clears the bar, and whether a side ran out of levels before it did not."""
    size, ask, bid = Fraction(0), 0, 0
    left_ask, left_bid = (side[0][1] if side else Fraction(0) for side in (asks, bids))
    while ask < len(asks) and bid < len(bids):
        if bids[bid][0] * get < asks[ask][0] * pay:
            return size, False
        taken = min(left_ask, left_bid)
        size, left_ask, left_bid = size + taken, left_ask - taken, left_bid - taken
        if not left_ask:
            ask += 1
            left_ask = asks[ask][1] if ask < len(asks) else left_ask
        if not left_bid:
            bid += 1
            left_bid = bids[bid][1] if bid < len(bids) else left_bid
    return size, size > 0


def _worth(levels: Sequence[Level], size: Fraction) -> Fraction:
    """What so much costs or brings, from the best level on."""
    worth = Fraction(0)
    for price, there in levels:
        taken = min(size, there)
        worth, size = worth + taken * price, size - taken
        if not size:
            break
    return worth


def _affordable(levels: Sequence[Level], money: Fraction) -> Fraction:
    """How much so much money buys."""
    size = Fraction(0)
    for price, there in levels:
        taken = min(there, money / price)
        size, money = size + taken, money - taken * price
        if taken < there:
            break
    return size
