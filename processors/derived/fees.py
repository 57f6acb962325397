"""Fees of venues: one dated table, as text in the settings.

A row is `venue kind tier from_date maker_bps taker_bps`, rows are separated by semicolons. `kind` is spot, linear,
inverse or option; a rebate is a negative fee. In force is the newest row whose date is not later than the moment. Who
has no row has no cost: null, never 0.
"""

from __future__ import annotations

from math import isfinite
from typing import Final, NamedTuple, Protocol

from schemas.errors import UsageError
from schemas.messages import ContractKind
from schemas.units import NS_PER_SECOND

FIELDS: Final = 6
DAY_NS: Final = 86_400 * NS_PER_SECOND


class FeeOptions(Protocol):
    """What is read of the section `fees`."""

    @property
    def table(self) -> str:
        """Rows of fees."""

    @property
    def tier(self) -> str:
        """The tier whose rows count."""


class FeeRow(NamedTuple):
    """What a venue takes from a date on.

    Attributes:
        venue, kind, tier: Of whom, for what, at which level of volume.
        from_ns: Start of the day it begins at, ns UTC.
        maker_bps, taker_bps: Share of the notional.
    """

    venue: str
    kind: ContractKind
    tier: str
    from_ns: int
    maker_bps: float
    taker_bps: float


class FeeTable:
    """Every row, of one tier. Made once from the settings.

    Args:
        text: The rows.
        tier: The tier whose rows count.

    Raises:
        UsageError: A row is none.
    """

    def __init__(self, text: str, tier: str) -> None:
        self.text, self.tier = text, tier
        rows = [_row(line) for line in text.split(";") if line.strip()]
        self._rows = sorted((row for row in rows if row.tier == tier), key=lambda row: row.from_ns)

    def in_force(self, venue: str, at_ns: int, kind: ContractKind | None = None) -> FeeRow | None:
        """The row of a venue at a moment; null where there is none.

        Args:
            venue: Exchange id.
            at_ns: The moment, ns UTC.
            kind: Kind of the contract; null where it is not known, and then a venue with several kinds has no row.
        """
        newest = {row.kind: row for row in self._rows if row.venue == venue and row.from_ns <= at_ns}
        if kind is not None:
            return newest.get(kind)
        return next(iter(newest.values())) if len(newest) == 1 else None


def _row(line: str) -> FeeRow:
    words = line.split()
    try:
        if len(words) != FIELDS:
            raise ValueError(f"{len(words)} words, not {FIELDS}")
        venue, kind, tier, from_date, maker, taker = words
        fees = float(maker), float(taker)
        if not all(map(isfinite, fees)):
            raise ValueError("a fee that is not finite")
        return FeeRow(venue, ContractKind(kind), tier, date_ns(from_date), *fees)
    except ValueError as error:
        raise UsageError(f"fees.table has a row that is none: {' '.join(words)!r} ({error})") from None


def date_ns(text: str) -> int:
    """The start of a day, ns UTC, of a date as 2024-08-08. Raises ValueError.

    >>> date_ns("2024-08-08")
    1723075200000000000
    """
    year, month, day = map(int, text.split("-"))
    lengths = (31, 29 if _is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1970 <= year <= 2200 and 1 <= month <= len(lengths) and 1 <= day <= lengths[month - 1]):
        raise ValueError(f"{text} is no date from 1970 to 2200")
    years = sum(366 if _is_leap(one) else 365 for one in range(1970, year))
    return (years + sum(lengths[: month - 1]) + day - 1) * DAY_NS


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
