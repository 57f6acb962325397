"""What calls may cost in a day and in a minute: reserved before a request leaves, settled when it is known. No clock.

What is reserved is the most that a request can come to, so what was spent never exceeds the budget, however many are
under way and in whatever order they end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from schemas.units import NS_PER_SECOND

MINUTE_NS: Final = 60 * NS_PER_SECOND
DAY_NS: Final = 24 * 60 * MINUTE_NS


class Amount(NamedTuple):
    """What a request comes to.

    Attributes:
        usd: In money.
        tokens: Input and output together.
    """

    usd: Decimal
    tokens: int


Measure = Callable[[Amount], Fraction]
NOTHING: Final = Amount(Decimal(0), 0)


class BudgetLimits(NamedTuple):
    """Most that all workers spend together in a UTC day and in a UTC minute; null is as much as they like."""

    usd_per_day: float | None = None
    tokens_per_day: int | None = None
    usd_per_minute: float | None = None
    tokens_per_minute: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is a budget."""
        return any(limit is not None for limit in self)

    @property
    def need_prices(self) -> bool:
        """Whether it is one in money."""
        return self.usd_per_day is not None or self.usd_per_minute is not None


class Spent(NamedTuple):
    """What a request came to, and when it left, ns UTC."""

    started_ns: int
    amount: Amount


class Budget:
    """The part of one worker in a budget that all workers share.

    It has nothing until it is given a share. At each change of who owns what, each worker may spend, beside what it has
    spent and reserved by then, its share of what all have left: shares add up to one, so do the parts.

    Args:
        limits: Of all workers together.
    """

    def __init__(self, limits: BudgetLimits) -> None:
        parts = (
            (limits.usd_per_day, DAY_NS, _usd),
            (limits.tokens_per_day, DAY_NS, _tokens),
            (limits.usd_per_minute, MINUTE_NS, _usd),
            (limits.tokens_per_minute, MINUTE_NS, _tokens),
        )
        self._latest_ns = 0
        self._parts = [_Part(Fraction(str(most)), of_ns, by) for most, of_ns, by in parts if most is not None]

    def share(self, share: Fraction, others: Iterable[Spent], now_ns: int) -> None:
        """Take a share of what is left.

        Args:
            share: Of the partitions, in [0, 1].
            others: What other workers have spent, this one before its start included, of today at least.
            now_ns: UTC.
        """
        spent, now_ns = list(others), self._never_back(now_ns)
        for part in self._parts:
            part.share(share, spent, now_ns)

    def reserve(self, most: Amount, now_ns: int) -> Spent | None:
        """Set aside what a request can come to; null where that is more than is left: it must not leave."""
        now_ns = self._never_back(now_ns)
        if not all(part.has(most, now_ns) for part in self._parts):
            return None
        for part in self._parts:
            part.add(now_ns, most)
        return Spent(now_ns, most)

    def settle(self, reserved: Spent, amount: Amount) -> None:
        """Say what a request came to. To be called once for each that was reserved."""
        for part in self._parts:
            part.settle(reserved, amount)

    def _never_back(self, now_ns: int) -> int:
        """A clock that was set back begins no day anew."""
        self._latest_ns = max(self._latest_ns, now_ns)
        return self._latest_ns


class _Part:
    """One limit. `_held` is what was spent and reserved in the period, `_most` what that may come to."""

    def __init__(self, limit: Fraction, period_ns: int, by: Measure) -> None:
        self._limit, self._period_ns, self._by = limit, period_ns, by
        self._share = self._held = self._most = Fraction(0)
        self._period = -1

    def share(self, share: Fraction, others: list[Spent], now_ns: int) -> None:
        self._roll(now_ns)
        self._share = share
        gone = sum((self._by(one.amount) for one in others if self._is_now(one.started_ns)), self._held)
        self._most = self._held + share * max(Fraction(0), self._limit - gone)

    def has(self, most: Amount, now_ns: int) -> bool:
        self._roll(now_ns)
        return self._held + self._by(most) <= self._most

    def add(self, now_ns: int, amount: Amount) -> None:
        self._roll(now_ns)
        self._held += self._by(amount)

    def settle(self, reserved: Spent, amount: Amount) -> None:
        if self._is_now(reserved.started_ns):
            self._held += self._by(amount) - self._by(reserved.amount)

    def _is_now(self, started_ns: int) -> bool:
        return started_ns // self._period_ns == self._period

    def _roll(self, now_ns: int) -> None:
        if not self._is_now(now_ns):
            self._period, self._held = now_ns // self._period_ns, Fraction(0)
            self._most = self._share * self._limit


def _usd(amount: Amount) -> Fraction:
    return Fraction(amount.usd)


def _tokens(amount: Amount) -> Fraction:
    return Fraction(amount.tokens)
