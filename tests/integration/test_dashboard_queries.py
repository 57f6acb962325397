"""Every statement of the dashboards and of the pages for operators runs on a real engine, as who may only read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import ClickHouseSettings
from sinks.store import Store
from tests.integration.made_tables import make_tables
from tests.integration.sinking import opened

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "tables.json").read_text("utf-8"))
PANELS = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}
VARIABLES = {variable["name"]: variable["query"]["rawSql"] for variable in BOARD["templating"]["list"]}
PAGES = [path.read_text("utf-8") for path in sorted((ROOT / "docs" / "operations").glob("*.md"))]
ASKED = [sql for text in PAGES for sql in re.findall(r'obflow query "([^"]+)"', text)]
MACROS = {
    r"\$__timeInterval\((\w+)\)": r"toStartOfInterval(toDateTime(\1), INTERVAL 10 second)",
    r"\$__timeFilter\((\w+)\)": r"\1 >= toDateTime(1700000000) AND \1 <= toDateTime(1900000000)",
    r"\$\{(\w+):sqlstring\}": r"'\1 it''s'",
}
"""What Grafana's plugin puts in the place of its macros (its `pkg/macros`), and Grafana in that of variables."""


def as_grafana_sends(sql: str) -> str:
    for macro, sent in MACROS.items():
        sql = re.sub(macro, sent, sql)
    assert "$" not in sql, "a macro or a variable that the test does not know"
    return sql


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseSettings) -> Iterator[Store]:
    """Tables as they are deployed, and the user who may only read."""
    chosen = clickhouse_server.model_copy(update={"database": "dashboards"})
    make_tables(chosen)
    found = Store(chosen, readonly=True)
    try:
        yield found
    finally:
        found.close()
        with opened(clickhouse_server) as store:
            store.command("DROP DATABASE dashboards SYNC")


def columns(store: Store, sql: str) -> dict[str, str]:
    """Names and types that a statement gives."""
    return {name: kind for name, kind, *_ in store.query(f"DESCRIBE ({sql})")}


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_s_statement_gives_what_its_kind_draws(title: str, reader: Store) -> None:
    (target,) = PANELS[title]["targets"]
    sql = as_grafana_sends(target["rawSql"])
    reader.query(sql)
    found: Any = columns(reader, sql)
    if target["queryType"] == "timeseries":
        assert found["time"].startswith("DateTime"), "a time series needs a time first"
        assert any(kind.startswith(("UInt", "Float", "Nullable(Float")) for kind in found.values())
    else:
        assert "age_seconds" in found


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_s_statement_gives_one_column(name: str, reader: Store) -> None:
    assert len(columns(reader, VARIABLES[name])) == 1


@pytest.mark.parametrize("sql", ASKED)
def test_a_statement_of_the_pages_for_operators_can_be_asked(sql: str, reader: Store) -> None:
    reader.query(sql)


def test_the_pages_ask_something() -> None:
    assert len(ASKED) >= 5
