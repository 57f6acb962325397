"""Write the dashboards: one of every metric of `obflow/metric_list.py`, one of every table of `sinks/tables`.

Run in a checkout, by `make metrics`. The files are committed; tests hold them equal to what this gives, look up every
name of a metric, and run every statement against a real engine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LIBRARY, Metric
from obflow.terminal import say
from sinks.contract import Table
from sinks.tables import TABLES

FOLDER: Final = Path("deploy/grafana/dashboards")
PROMETHEUS: Final = {"type": "prometheus", "uid": "obflow-prometheus"}
CLICKHOUSE: Final = {"type": "grafana-clickhouse-datasource", "uid": "obflow-clickhouse"}
UNITS: Final = {
    "seconds": "s",
    "bytes": "bytes",
    "USD": "currencyUSD",
    "0 or 1": "bool",
    "seconds since 1970": "dateTimeFromNow",
}
QUANTILES: Final = (0.5, 0.99)
ROLES: Final = (
    "producer",
    "processor",
    "regimes",
    "signals",
    "anomalies",
    "levels",
    "staleness",
    "quotes",
    "arbitrage",
    "sink",
    "evaluate",
)
COLUMNS, WIDTH, HEIGHT = 3, 8, 7
KINDS: Final = ("status", "side", "state", "reason", "role", "label", "outcome", "stage")
"""Columns with a handful of values, by which the rows of a table are counted."""
TIMES: Final = ("received_at", "window_end", "started_at", "decided_at")
CHARTED: Final = ("mid", "spread_bps", "obi_l5", "ofi_l1_1s", "bid_depth_10bps", "ask_depth_10bps")
"""Factors of one instrument that are drawn."""

Panel = dict[str, Any]


def metrics_dashboard() -> Panel:
    """Every metric, a row for each role that is the first to have it."""
    panels: list[Panel] = []
    for role in ROLES:
        mine = {name: metric for name, metric in _declared().items() if metric.roles[0] == role and name not in LIBRARY}
        panels += _row(f"First in {role}", [_metric_panel(name, metric) for name, metric in mine.items()], panels)
    panels += _row("The process", [_metric_panel(name, metric) for name, metric in LIBRARY.items()], panels)
    return _dashboard("obflow-metrics", "obflow: metrics", panels, [])


def tables_dashboard() -> Panel:
    """Every table: what was stored, how old the newest of it is, and what kinds of rows there are."""
    panels: list[Panel] = []
    for name, table in TABLES.items():
        panels += _row(f"Table {name}", list(_table_panels(table)), panels)
    factors = [_sql_panel(factor, _factor_sql(factor), "short") for factor in CHARTED]
    panels += _row("Factors of the chosen instrument", factors, panels)
    return _dashboard("obflow-tables", "obflow: tables", panels, [_variable("venue"), _variable("symbol")])


def dashboards() -> Mapping[Path, str]:
    """The files, as they are to be."""
    made = {"metrics.json": metrics_dashboard(), "tables.json": tables_dashboard()}
    return {FOLDER / name: json.dumps(board, indent=1, ensure_ascii=False) + "\n" for name, board in made.items()}


def expressions(name: str, metric: Metric) -> list[tuple[str, str]]:
    """What is asked of Prometheus about a metric, each with the legend of its lines."""
    labels = ", ".join(metric.labels)
    by, legend = f"by ({labels or 'job'})", " ".join(f"{{{{{label}}}}}" for label in metric.labels or ("job",))
    if name in HISTOGRAMS:
        rate = f"sum by (le, {labels}) (rate({name}_bucket[$__rate_interval]))"
        return [(f"histogram_quantile({share}, {rate})", f"{legend} {share:.0%}") for share in QUANTILES]
    if name.endswith("_total"):
        return [(f"sum {by} (rate({name}[$__rate_interval]))", legend)]
    return [(f"max {by} ({name})", legend)]


def _declared() -> dict[str, Metric]:
    return {**COUNTERS, **GAUGES, **HISTOGRAMS, **LIBRARY}


def _metric_panel(name: str, metric: Metric) -> Panel:
    asked = expressions(name, metric)
    targets = [
        {"refId": chr(ord("A") + number), "datasource": PROMETHEUS, "expr": expression, "legendFormat": legend}
        for number, (expression, legend) in enumerate(asked)
    ]
    unit = UNITS.get(metric.unit, "short")
    shown = "cps" if name.endswith("_total") and unit == "short" else unit
    once = f" Nothing before {metric.once}." if metric.once else ""
    return _panel(name, PROMETHEUS, targets, shown, f"{metric.meaning}{once} [{metric.unit}]")


def _table_panels(table: Table[Any]) -> Iterator[Panel]:
    columns = {column.name for column in table.columns}
    yield _sql_panel(f"{table.name}: rows stored", _count_sql(table.name, "stored_at", "'rows'"), "short")
    if "symbol" in columns:
        yield _sql_panel(f"{table.name}: age of the newest row", _age_sql(table.name), "s", kind="table")
    time = next(name for name in TIMES if name in columns)
    for name in KINDS:
        if name in columns:
            yield _sql_panel(f"{table.name} by {name}", _count_sql(table.name, time, f"toString({name})"), "short")


def _count_sql(table: str, time: str, by: str) -> str:
    return (
        f"SELECT $__timeInterval({time}) AS time, {by} AS kind, count() AS rows FROM {table} "  # noqa: S608 (our names)
        f"WHERE $__timeFilter({time}) GROUP BY time, kind ORDER BY time"
    )


def _age_sql(table: str) -> str:
    age = "dateDiff('second', newest, now64(9)) AS age_seconds"
    return (
        f"SELECT venue, symbol, max(stored_at) AS newest, {age}, count() AS rows FROM {table} "  # noqa: S608 (our names)
        "WHERE $__timeFilter(stored_at) GROUP BY venue, symbol ORDER BY age_seconds DESC"
    )


def _factor_sql(factor: str) -> str:
    return (
        f"SELECT $__timeInterval(received_at) AS time, source, avg({factor}) AS value FROM factors_once "  # noqa: S608 (ours)
        "WHERE $__timeFilter(received_at) AND venue = ${venue:sqlstring} AND symbol = ${symbol:sqlstring} "
        "AND status IN ('OK', 'THIN') "
        "GROUP BY time, source ORDER BY time"
    )


def _sql_panel(title: str, sql: str, unit: str, kind: str = "timeseries") -> Panel:
    shape = {"queryType": kind, "format": 0 if kind == "timeseries" else 1}
    target = {"refId": "A", "datasource": CLICKHOUSE, "editorType": "sql", "rawSql": sql, **shape}
    return _panel(title, CLICKHOUSE, [target], unit, "", kind)


def _panel(
    title: str,
    source: Mapping[str, str],
    targets: list[dict[str, Any]],
    unit: str,
    description: str,
    kind: str = "timeseries",
) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "custom": {"spanNulls": False}}, "overrides": []},
        "targets": targets,
    }


def _row(title: str, panels: list[Panel], before: list[Panel]) -> list[Panel]:
    """A row and its panels, below those before, with their places and numbers."""
    top = max((panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in before), default=0)
    head: Panel = {"type": "row", "title": title, "collapsed": False, "panels": []}
    head["gridPos"] = {"x": 0, "y": top, "w": COLUMNS * WIDTH, "h": 1}
    for number, panel in enumerate(panels):
        x, y = number % COLUMNS * WIDTH, top + 1 + number // COLUMNS * HEIGHT
        panel["gridPos"] = {"x": x, "y": y, "w": WIDTH, "h": HEIGHT}
    for number, panel in enumerate([head, *panels]):
        panel["id"] = len(before) + number + 1
    return [head, *panels]


def _variable(column: str) -> dict[str, Any]:
    since = "received_at > now() - INTERVAL 1 DAY"
    sql = f"SELECT DISTINCT {column} FROM factors WHERE {since} ORDER BY {column}"  # noqa: S608 (our names)
    return {
        "name": column,
        "type": "query",
        "datasource": CLICKHOUSE,
        "query": {"rawSql": sql, "editorType": "sql", "queryType": "table"},
        "refresh": 2,
    }


def _dashboard(uid: str, title: str, panels: list[Panel], variables: list[dict[str, Any]]) -> Panel:
    return {
        "uid": uid,
        "title": title,
        "description": "Written by deploy/grafana/generate.py: change the lists, not this file.",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "utc",
        "templating": {"list": variables},
        "panels": panels,
    }


def main(root: Path = Path()) -> int:
    """Write the files into a checkout."""
    for path, text in dashboards().items():
        (root / path).write_text(text, "utf-8")
        say(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
