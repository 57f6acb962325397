"""What has to hold before a table is fed: it is there, and rows fit."""

from __future__ import annotations

from typing import Any

from schemas.errors import SchemaMismatch
from sinks.contract import Table
from sinks.holes import TABLE as HOLES
from sinks.migrate import advice, lacking, missing
from sinks.runs import TABLE as DROPPED_RUNS
from sinks.store import Store


def require_shape(store: Store, table: Table[Any]) -> None:
    """Make sure that rows can go in.

    Raises:
        SchemaMismatch: The table is missing or has other columns.
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
    """
    differences = lacking(store, table) or missing(store, [HOLES, DROPPED_RUNS])
    if differences:
        raise SchemaMismatch(differences[0], next_step=advice(differences))
