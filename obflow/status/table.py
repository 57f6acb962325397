"""One table of the status: rows of plain values, and how much its totals grew between two looks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

Cell: TypeAlias = str | int | float | bool | None
Row: TypeAlias = tuple[Cell, ...]
PER_SECOND: Final = "_per_s"
NOT_KNOWN: Final = "not known: "
"""How the note of a part begins that could not be asked."""


class StatusTable(NamedTuple):
    """One table.

    Attributes:
        name: Its key in JSON, and its title.
        position: Where it stands, the smallest first.
        columns: Their names, units last.
        rows: A value for each column; None is "not known" or "none".
        key: How many of the first columns tell its rows apart.
        totals: Columns whose growth a second is shown beside them.
        note: Why there are no rows, or what else there is to say.
    """

    name: str
    position: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    key: int = 1
    totals: tuple[str, ...] = ()
    note: str = ""

    def records(self) -> list[dict[str, Cell]]:
        """The rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def with_rates(before: StatusTable | None, after: StatusTable, seconds: float) -> StatusTable:
    """The later look, with a column beside each total: how much it grew a second; None for a row that is new.

    Args:
        before: The look before; None where there was none.
        after: The later one.
        seconds: Between them.
    """
    earlier = {row[: after.key]: row for row in before.rows} if before is not None else {}
    columns = [
        part for name in after.columns for part in ((name, name + PER_SECOND) if name in after.totals else (name,))
    ]
    rows = tuple(_with_rates(after, row, earlier.get(row[: after.key]), seconds) for row in after.rows)
    return after._replace(columns=tuple(columns), rows=rows)


def _with_rates(section: StatusTable, row: Row, before: Row | None, seconds: float) -> Row:
    cells: list[Cell] = []
    for place, (name, value) in enumerate(zip(section.columns, row, strict=True)):
        cells.append(value)
        if name in section.totals:
            cells.append(_rate(before[place] if before is not None else None, value, seconds))
    return tuple(cells)


def _rate(before: Cell, after: Cell, seconds: float) -> float | None:
    if not isinstance(before, int | float) or not isinstance(after, int | float) or seconds <= 0:
        return None
    rate = (after - before) / seconds
    return round(rate, 1 if abs(rate) >= 10 else 2)


def shown(value: Cell) -> str:
    """A value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1000 else f"{value:.4g}"
    return value


def as_json(sections: Sequence[StatusTable], at: str) -> Mapping[str, object]:
    """What `--json` prints.

    Args:
        sections: What was seen.
        at: When, ISO 8601.
    """
    notes = {section.name: section.note for section in sections if section.note}
    return {"at": at, **{section.name: section.records() for section in sections}, "notes": notes}
