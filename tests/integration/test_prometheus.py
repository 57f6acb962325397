"""A real Prometheus reads a role's page, and our rules see the fault that is on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from obflow.metrics import Metrics
from obflow.settings import MetricsSettings
from tests.integration.roles import free_port, page
from tests.support.patience import patient
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian: apt install prometheus)"),
]


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[int]:
    """One that scrapes a page of ours as the job `sink`, with our rules; its port."""
    port = free_port()
    jobs = [{"job_name": "sink", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "deploy" / "prometheus" / "alerts.yml")],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    words = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([str(PROMETHEUS), *words], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(patient(20))


def asked(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=patient(5)) as answer:
        return json.load(answer)["data"]


def alerts(port: int) -> dict[str, str]:
    """State of each alert that is not quiet."""
    return {alert["labels"]["alertname"]: alert["state"] for alert in asked(port, "alerts")["alerts"]}


def test_a_fault_on_a_page_is_seen_by_the_alert_that_is_for_it(tmp_path: Path) -> None:
    metrics, target = Metrics("sink"), free_port()
    for table in ("factors", "trades"):
        metrics.gauge("obflow_table_failing", table=table).set(table == "trades")
    metrics.gauge("obflow_lag_seconds", topic="trades.v1").set(29)
    with metrics.served(MetricsSettings(port=target)), prometheus(tmp_path, target) as port:
        log = tmp_path / "prometheus.log"
        assert eventually(lambda: page(port, "/-/ready").status == 200, 30), log.read_text()
        assert eventually(lambda: "ObflowTableFailing" in alerts(port), 30), log.read_text()
        (failing,) = [each for each in asked(port, "alerts")["alerts"] if each["labels"].get("table")]
        assert failing["labels"] == {"alertname": "ObflowTableFailing", "table": "trades", "severity": "page"}
        assert failing["annotations"]["summary"] == "Table trades cannot be fed"
        assert failing["annotations"]["runbook_url"].endswith("#obflowtablefailing")
        assert "ObflowLagging" not in alerts(port)
        (found,) = asked(port, "query?query=obflow_build_info")["result"]
        assert (found["metric"]["job"], found["metric"]["role"]) == ("sink", "sink")
