"""Who may write a partition of a table: the highest claim, and nobody else, however late somebody's insert arrives.

    claim     a row in `sink_claims`, higher than all before it
    settle    wait until the inserts that run at that moment have ended
    read      only now is the table asked how far it is
    insert    one statement that stores its rows only where nobody has claimed higher

An insert asks for claims when it begins, before it reads a row. One that began before the new claim could be seen is
among those that are waited for; one that begins later sees the claim and stores nothing. So it does not matter how long
its sender was suspended, nor where (ADR 0030).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from schemas.errors import FatalError
from sinks.contract import Table
from sinks.resume import settle
from sinks.store import Store

TABLE: Final = "sink_claims"
_DIGITS: Final = 16
_WHERE: Final = "table_name = {table:String} AND k_log = {log:String} AND k_part IN {parts:Array(UInt16)}"
_HIGHEST: Final = f"SELECT max(claim) FROM {TABLE} WHERE {_WHERE}"  # noqa: S608 (our own name)
_CLAIM: Final = (
    f"INSERT INTO {TABLE} (table_name, k_log, k_part, claim, claimed_at) "
    "SELECT {table:String}, {log:String}, arrayJoin({parts:Array(UInt16)}), {claim:String}, now64(9, 'UTC')"
)


class ClaimLost(FatalError):
    """Somebody else has claimed partitions since: nothing of the insert was stored."""


class Claim(NamedTuple):
    """The right to write some partitions of a table.

    Attributes:
        table: Its name.
        log: The log that feeds it.
        partitions: Which.
        text: What is compared: a number that rises, then who claimed.
    """

    table: str
    log: str
    partitions: tuple[int, ...]
    text: str

    @property
    def condition(self) -> str:
        """What an insert is stored under, as SQL: an error where somebody has claimed higher."""
        parts = ", ".join(map(str, self.partitions))
        return (
            f"NOT throwIf((SELECT count() FROM {TABLE} WHERE table_name = '{self.table}' "  # noqa: S608 (our own names)
            f"AND k_log = '{self.log}' AND k_part IN ({parts}) AND claim > '{self.text}') > 0, 'claimed by another')"
        )


def claim(store: Store, table: Table[Any], log: str, partitions: Iterable[int], *, who: str, now_ns: int) -> Claim:
    """Claim partitions, and wait until no insert runs that may have begun under a lower claim.

    As long as it is the highest, what the table holds of them changes by inserts under this claim alone.

    Args:
        store: The database.
        table: The table.
        log: Name of the log that feeds it.
        partitions: Which of its partitions.
        who: Tells this claim from one of the same moment: hexadecimal digits drawn at random.
        now_ns: Time, ns UTC: a claim is at least as high, so that it rises even where the claims themselves are gone.

    Raises:
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
        FatalError: An insert into the table does not end.
    """
    parts = sorted(partitions)
    where = {"table": table.name, "log": log, "parts": parts}
    [(highest,)] = store.query(_HIGHEST, where)
    number = max(int(highest[:_DIGITS], 16) + 1 if highest else 0, now_ns)
    text = f"{number:0{_DIGITS}x}-{who}"
    store.command(_CLAIM, {**where, "claim": text})
    settle(store, table)
    return Claim(table.name, log, tuple(parts), text)
