"""A reader of a topic as a row of the status, from the same look that `obflow doctor` judges."""

from __future__ import annotations

from typing import Final

from obflow.flow import GroupLook
from obflow.status.table import Row, StatusTable

COLUMNS: Final = ("reader", "topic", "members", "read_records", "waiting_records", "waiting_s")
POSITION: Final = 30


def group_row(name: str, look: GroupLook) -> Row:
    """What a look says.

    Args:
        name: Who reads.
        look: Where it is.
    """
    waiting, ages = look.waiting(), look.ages_s
    members = None if look.members is None else len(look.members)
    read = sum(max(0, at - look.starts.get(part, 0)) for part, at in look.positions.items())
    return (name, look.topic, members, read, sum(waiting.values()), round(max(ages.values(), default=0.0), 1))


def group_section(name: str, rows: tuple[Row, ...], note: str = "", position: int = POSITION) -> StatusTable:
    """Rows of readers as a table."""
    return StatusTable(name, position, COLUMNS, rows, key=2, totals=("read_records",), note=note)
