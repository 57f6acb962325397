"""The dashboards are what the lists of metrics and tables make of them, and ask for nothing that is not there."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LIBRARY
from sinks.tables import TABLES
from tests.architecture.test_alerts import NEEDS_PROMTOOL, PROMTOOL
from tests.support.promql import declared_as, metrics_of

ROOT = Path(__file__).parents[2]
DECLARED = {**COUNTERS, **GAUGES, **HISTOGRAMS, **LIBRARY}


def generator() -> ModuleType:
    """`deploy/grafana/generate.py`, which is in no package."""
    spec = importlib.util.spec_from_file_location("generate_dashboards", ROOT / "deploy" / "grafana" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DASHBOARDS = generator().dashboards()


def panels() -> list[dict[str, Any]]:
    """Every panel of every dashboard, rows apart."""
    boards = [json.loads(text) for text in DASHBOARDS.values()]
    return [panel for board in boards for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"] if "expr" in target]


def test_the_committed_files_are_what_the_lists_give() -> None:
    folder = ROOT / "deploy" / "grafana" / "dashboards"
    assert {path.relative_to(ROOT) for path in folder.iterdir()} == DASHBOARDS.keys()
    for path, text in DASHBOARDS.items():
        assert (ROOT / path).read_text("utf-8") == text, "run `make metrics`"


def test_every_metric_and_every_table_is_drawn_and_nothing_else_is() -> None:
    assert {declared_as(name) for expression in expressions() for name in metrics_of(expression)} == DECLARED.keys()
    sql = " ".join(target["rawSql"] for panel in panels() for target in panel["targets"] if "rawSql" in target)
    assert [table for table in TABLES if f"FROM {table} " not in sql] == []


def test_panels_have_numbers_of_their_own_and_lie_beside_each_other() -> None:
    for text in DASHBOARDS.values():
        board = json.loads(text)
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)
        places = [
            (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
            for panel in board["panels"]
            for dx in range(panel["gridPos"]["w"])
            for dy in range(panel["gridPos"]["h"])
        ]
        assert len(set(places)) == len(places), "two panels overlap"
        assert max(x for x, _ in places) < 24


def test_every_panel_asks_a_source_that_is_provisioned_as_a_reader() -> None:
    sources = yaml.safe_load((ROOT / "deploy" / "grafana" / "datasources.yml").read_text("utf-8"))["datasources"]
    known = {(source["type"], source["uid"]) for source in sources}
    assert {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in panels()} == known
    (database,) = [source for source in sources if source["type"] == "grafana-clickhouse-datasource"]
    assert database["jsonData"]["username"] == "${CLICKHOUSE_READONLY_USER}"
    environment = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["grafana"]["environment"]
    assert environment["CLICKHOUSE_READONLY_USER"] == "reader"


@NEEDS_PROMTOOL
def test_promtool_can_read_what_every_panel_asks(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["obflow_nothing_total", "obflow_lag_seconds_total"])
def test_a_planted_name_is_found(name: str) -> None:
    assert metrics_of(f'sum by (topic) (rate({name}{{topic="x"}}[5m])) > 0 or absent(up)') == {name, "up"}
    assert declared_as(name) not in DECLARED
