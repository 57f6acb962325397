"""What has to hold before a table is fed: it is there, and rows fit; and how it is told that it is gone."""

from __future__ import annotations

from typing import Any, Final

from obflow.log_identity import LogIdentities
from schemas.errors import FatalError, SchemaMismatch, TopicMismatch
from sinks.claims import TABLE as CLAIMS
from sinks.contract import Table
from sinks.holes import TABLE as HOLES
from sinks.migrate import DOES_NOT_EXIST, NO_TABLE, advice, lacking, missing
from sinks.runs import TABLE as DROPPED_RUNS
from sinks.store import Store

GONE: Final = frozenset({60, 81})
"""ClickHouse's codes for a table, and for a database, that it does not know."""
IDENTITY: Final = "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"


class TableGone(SchemaMismatch):
    """A table is not there, or is another one than before: it was dropped, and `obflow tables apply` brings it back."""


class LogAnew(TopicMismatch):
    """The topic was deleted and made anew under a sink: what was read last may be of either log, and is left out."""


def as_gone(error: BaseException, table: Table[Any]) -> BaseException:
    """The error; in one sentence where the database said that it does not know the table."""
    code = getattr(error, "code", None) or getattr(error.__cause__, "code", None)
    if not isinstance(error, FatalError) or code not in GONE:
        return error
    return _gone(table)


def _gone(table: Table[Any]) -> TableGone:
    sentence = NO_TABLE.format(table.name)
    return TableGone(sentence, next_step=advice([sentence]))


def identity(store: Store, table: Table[Any]) -> str:
    """What a table is known by: one that was dropped and made again has another. Empty where there is none."""
    rows = store.query(IDENTITY, {"name": table.name})
    return str(rows[0][0]) if rows else ""


def require_same(store: Store, table: Table[Any], known_by: str) -> None:
    """Make sure that a table is the one that it was.

    Raises:
        TableGone: It is another, or none.
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
    """
    found = identity(store, table)
    if not found:
        raise _gone(table)
    if found != known_by:
        raise TableGone(f"the table {table.name} was made anew")


def require_same_log(logs: LogIdentities, topic: str, topic_id: str) -> None:
    """Make sure that what was read of a topic is of the log that it was read as.

    Raises:
        LogAnew: It may be of another.
        BrokerUnreachable: The broker does not answer.
    """
    if logs.is_replaced(topic, topic_id):
        raise LogAnew(f"the topic {topic} was made anew: what was read of it last is left out, and the new log is read")


def require_shape(store: Store, table: Table[Any]) -> None:
    """Make sure that rows can go in.

    Raises:
        TableGone: The table is missing, or some of its columns are.
        SchemaMismatch: It has other columns.
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
    """
    differences = lacking(store, table) or missing(store, [HOLES, DROPPED_RUNS, CLAIMS])
    if differences:
        comes_back = all(sentence.endswith(DOES_NOT_EXIST) for sentence in differences)
        kind = TableGone if comes_back else SchemaMismatch
        raise kind(differences[0], next_step=advice(differences))
