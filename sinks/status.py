"""What `obflow status` shows of the tables: rows and lag, books, regimes, dead letters, and what the model cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from obflow.group_looks import look_at
from obflow.settings import Settings
from obflow.status.table import Cell, Row, StatusTable
from sinks import migrate
from sinks.flow import table_positions
from sinks.store import Store
from sinks.tables import TABLES

BOOKS: Final = (
    "SELECT concat(venue, ':', symbol), source, status, round(mid, 8), round(spread_bps, 3), round(obi_10bps, 3), "
    "round((toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(received_at)) / 1000, 1) "
    "FROM latest_factors ORDER BY venue, symbol"
)
REGIMES: Final = (
    "SELECT concat(venue, ':', symbol), feed_source, label, round(score, 2), source, "
    "if(llm_unfaithful, concat(llm_label, ' (unfaithful)'), llm_label), "
    "round((toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(window_end)) / 1000, 1) "
    "FROM regime_in_force ORDER BY venue, symbol"
)
LETTERS: Final = (
    "SELECT role, reason, letters, round((toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(last_received_at)) "
    "/ 1000, 1) FROM dead_letters_by_reason ORDER BY letters DESC"
)
CALLS: Final = (
    "SELECT model, outcome, count(), countIf(stored_at > now64(3) - toIntervalHour(1)), sum(input_tokens), "
    "sum(output_tokens), round(sum(cost_usd), 6) FROM llm_calls GROUP BY model, outcome ORDER BY model, outcome"
)
AGE: Final = (
    "SELECT count(), round((toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(max(stored_at))) / 1000, 1) "
    "FROM {table:Identifier}"
)
TABLE: Final = ("table", "rows", "newest_row_age_s", "waiting_records", "waiting_s")
ASKED: Final = {
    ("books", 60, ("instrument", "source", "status", "mid", "spread_bps", "imbalance_10bps", "age_s"), 2): BOOKS,
    ("regimes", 70, ("instrument", "feed_source", "label", "score", "judged_by", "model_label", "age_s"), 2): REGIMES,
    ("model", 80, ("model", "outcome", "calls", "last_hour", "input_tokens", "output_tokens", "cost_usd"), 2): CALLS,
    ("dead_letters", 90, ("role", "reason", "letters", "newest_age_s"), 2): LETTERS,
}


def store_sections(settings: Settings) -> list[StatusTable]:
    """Everything that the database knows.

    Raises:
        StoreUnreachable: No ClickHouse answers.
        QueryFailed: A table or view is not there.
    """
    with closing(Store(settings.clickhouse, readonly=True)) as store:
        sections = [
            StatusTable(name, position, columns, tuple(map(_plain, store.query(statement))), key)
            for (name, position, columns, key), statement in ASKED.items()
        ]
        there = [name for name, table in TABLES.items() if not migrate.lacking(store, table)]
        with ThreadPoolExecutor(len(TABLES)) as pool:  # most of it is waiting for the broker's answers
            rows = tuple(pool.map(lambda name: (name, *_counted(store, name), *_waiting(settings, store, name)), there))
    missing = ", ".join(sorted(TABLES.keys() - set(there)))
    note = f"not as declared: {missing}" if missing else ""
    return [StatusTable("tables", 50, TABLE, rows, totals=("rows",), note=note), *sections]


def _counted(store: Store, name: str) -> Row:
    [(rows, age_s)] = store.query(AGE, {"table": name})
    return (rows, age_s if rows else None)


def _waiting(settings: Settings, store: Store, name: str) -> Row:
    log, positions = table_positions(settings, store, TABLES[name])
    look = look_at(settings, log.topic, positions)
    return (sum(look.waiting().values()), round(max(look.ages_s.values(), default=0.0), 1))


def _plain(row: tuple[object, ...]) -> Row:
    return tuple(_cell(value) for value in row)


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)
