"""Every alert names metrics there are, has its runbook, and fires on its fault and not without it: promtool says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LIBRARY, Metric
from obflow.metrics import Metrics
from tests.support.promql import OF_PROMETHEUS, declared_as, labels_of, metrics_of

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks.md"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
(GROUP,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
DECLARED: dict[str, Metric] = {**COUNTERS, **GAUGES, **HISTOGRAMS, **LIBRARY}
PROMTOOL = shutil.which("promtool")
NEEDS_PROMTOOL = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)"
)

ROLES = [f'obflow_build_info{{role="{role}"}}' for role in ("producer", "processor", "regimes", "sink")]
RISING, STILL = "0+1x60", "0x60"
SERIES: dict[str, tuple[str, str, str]] = {  # alert: a series, values a minute with which it fires, and with which not
    "ObflowRoleGone": (ROLES[0], "_x60", "1x60"),
    "ObflowRoleNotReady": ('obflow_ready{job="sink", instance="a", condition="store"}', "0x60", "1x60"),
    "ObflowLagging": ('obflow_lag_seconds{topic="l2.v1"}', "31x60", "30x60"),
    "ObflowBookNotLive": ('obflow_books{job="producer", state="invalid"}', "1x60", "0x60"),
    "ObflowReaderBookInvalid": ('obflow_books{job="processor", state="invalid"}', "1x60", "0x60"),
    "ObflowChannelSilent": ('obflow_silent_channels{venue="v", channel="depth"}', "1x60", "0x60"),
    "ObflowBooksWrong": ('obflow_levels_compared_total{venue="v", outcome="wrong"}', RISING, STILL),
    "ObflowGaps": ('obflow_gaps_total{job="producer", venue="v"}', RISING, STILL),
    "ObflowReconnects": ('obflow_disconnects_total{venue="v"}', RISING, STILL),
    "ObflowGateClosed": ('obflow_gate_closed_seconds{venue="v"}', "31x60", "30x60"),
    "ObflowClockOff": ('obflow_clock_offset_seconds{venue="v"}', "-3x60", "-1x60"),
    "ObflowRival": ('obflow_rival_statuses_total{venue="v"}', RISING, STILL),
    "ObflowRebalances": ('obflow_rebalances_total{topic="l2.v1"}', RISING, STILL),
    "ObflowCheckpointOld": ('obflow_checkpoint_age_seconds{topic="l2.v1"}', "61x60", "60x60"),
    "ObflowTableFailing": ('obflow_table_failing{table="factors"}', "1x60", "0x60"),
    "ObflowRowsMissing": ('obflow_missing_rows{table="factors"}', "5x60", "0x60"),
    "ObflowInsertsFail": ('obflow_insert_failures_total{table="factors"}', RISING, STILL),
    "ObflowDifferentRows": ('obflow_repeated_total{state="different"}', RISING, STILL),
    "ObflowDeadLetters": ('obflow_dead_lettered_total{reason="DecodeError"}', RISING, STILL),
    "ObflowBrokerSlow": ('obflow_kafka_round_trip_seconds{client="publisher"}', "1.1x60", "1x60"),
    "ObflowModelFails": ('obflow_llm_calls_total{outcome="timeout"}', RISING, STILL),
    "ObflowDescriptors": ('process_open_fds{job="sink", instance="a"}', "81x60", "80x60"),
}
BESIDE = 'process_max_fds{job="sink", instance="a"}'


def anchors() -> dict[str, str]:
    """Each section of the runbooks, by its anchor."""
    parts = re.split(r"^## (\S+)$", RUNBOOKS.read_text("utf-8"), flags=re.M)
    return {name.lower(): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_names_metrics_and_labels_there_are(name: str) -> None:
    expression = ALERTS[name]["expr"]
    named = metrics_of(expression)
    assert named
    assert {metric for metric in named if declared_as(metric) not in DECLARED} == set()
    known = OF_PROMETHEUS | {label for metric in named for label in DECLARED[declared_as(metric)].labels}
    for metric, label in labels_of(expression):
        allowed = known if not metric else OF_PROMETHEUS | set(DECLARED[declared_as(metric)].labels)
        assert label in allowed, f"{metric} has no label {label}"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook_with_meaning_look_and_mend(name: str) -> None:
    path, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    assert ROOT / path == RUNBOOKS
    text = anchors()[anchor]
    assert [word in text for word in ("**Means.**", "**Look at.**", "**Mend.**")] == [True] * 3
    assert ALERTS[name]["labels"]["severity"] in ("page", "warn")


def test_every_runbook_belongs_to_an_alert() -> None:
    assert anchors().keys() == {name.lower() for name in ALERTS}


def test_every_role_of_the_deployment_is_scraped() -> None:
    scraped = {
        name
        for job in yaml.safe_load(CONFIG.read_text("utf-8"))["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
        for name in found["names"]
    }
    pages = {
        name
        for name, service in COMPOSE["services"].items()
        if "9100" in str(service.get("healthcheck", {}).get("test"))
    }
    assert scraped == pages
    jobs = {job["job_name"] for job in yaml.safe_load(CONFIG.read_text("utf-8"))["scrape_configs"]}
    named = set(re.findall(r'job="(\w+)"', " ".join(rule["expr"] for rule in ALERTS.values())))
    assert named <= jobs, "an alert on a job that nobody scrapes never fires"


def promtool(*words: str | Path) -> str:
    done = subprocess.run([str(PROMTOOL), *map(str, words)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@NEEDS_PROMTOOL
def test_promtool_reads_the_rules_and_the_configuration() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", "--syntax-only", CONFIG)


@NEEDS_PROMTOOL
def test_promtool_finds_no_fault_in_names_and_meanings() -> None:
    metrics = Metrics("sink")
    for name in COUNTERS:
        metrics.counter(name, **dict.fromkeys(COUNTERS[name].labels, "x")).inc()
    for gauge in GAUGES:
        metrics.gauge(gauge, **dict.fromkeys(GAUGES[gauge].labels, "x")).set(1)
    for histogram in HISTOGRAMS:
        metrics.histogram(histogram, **dict.fromkeys(HISTOGRAMS[histogram].labels, "x")).observe(1)
    done = subprocess.run([str(PROMTOOL), "check", "metrics"], input=metrics.page(), capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def labels_fired(name: str, series: str) -> dict[str, str]:
    """Labels of the alert that a series sets off: those of its grouping, and the severity."""
    of_series = dict(re.findall(r'(\w+)="([^"]*)"', series))
    kept = {label for metric, label in labels_of(ALERTS[name]["expr"]) if not metric}
    if name == "ObflowRoleGone":
        kept = {"role"}
    severity = ALERTS[name]["labels"]["severity"]
    return {**{label: value for label, value in of_series.items() if label in kept}, "severity": severity}


def case_of(name: str, *, fires: bool) -> dict[str, Any]:
    """A case for promtool: half an hour of a series, and what is expected of one alert at its end."""
    series, firing, quiet = SERIES[name]
    values = firing if fires else quiet
    beside = {ROLES[number]: "1x60" for number in range(len(ROLES)) if ROLES[number] != series} | {BESIDE: "100x60"}
    expected = [{"exp_labels": labels_fired(name, series)}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": given} for one, given in ({series: values} | beside).items()],
        "alert_rule_test": [{"eval_time": "30m", "alertname": name, "exp_alerts": expected}],
    }


@NEEDS_PROMTOOL
def test_any_role_that_was_seen_within_a_day_and_is_no_longer_there_is_told(tmp_path: Path) -> None:
    gone = 'obflow_build_info{role="signals", instance="a"}'
    beside = dict.fromkeys(ROLES, "1x120") | {gone: "1x10 stale"}
    case = {
        "interval": "1m",
        "input_series": [{"series": one, "values": given} for one, given in beside.items()],
        "alert_rule_test": [
            {"eval_time": "5m", "alertname": "ObflowRoleGone", "exp_alerts": []},
            {
                "eval_time": "60m",
                "alertname": "ObflowRoleGone",
                "exp_alerts": [{"exp_labels": {"role": "signals", "severity": "page"}}],
            },
        ],
    }
    judge(tmp_path, [case])


@NEEDS_PROMTOOL
@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is quiet"])
def test_each_alert_fires_on_its_fault_and_is_quiet_without(fires: bool, tmp_path: Path) -> None:
    assert SERIES.keys() == ALERTS.keys()
    judge(tmp_path, [case_of(name, fires=fires) for name in ALERTS])


def judge(folder: Path, cases: list[dict[str, Any]]) -> None:
    """Have promtool try the rules on made-up series."""
    rules = yaml.safe_load(RULES.read_text("utf-8"))
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]  # else promtool wants every sentence repeated
    (folder / "rules.yml").write_text(yaml.safe_dump(rules), "utf-8")
    tests = {"rule_files": ["rules.yml"], "tests": cases}
    (folder / "cases.yml").write_text(yaml.safe_dump(tests), "utf-8")
    assert "SUCCESS" in promtool("test", "rules", folder / "cases.yml")
