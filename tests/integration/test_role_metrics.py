"""The pages of all roles of one pipeline, once records have passed through it: every declared metric is there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from obflow.health import CONDITIONS
from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LIBRARY, Metric
from obflow.settings import ClickHouseSettings
from sinks import migrate
from tests.integration.made_tables import make_tables
from tests.integration.producing import producing
from tests.integration.roles import ROLES, page, readers
from tests.integration.sinking import opened
from tests.support.patience import patient

pytestmark = pytest.mark.integration

DECLARED: Mapping[str, Metric] = {**COUNTERS, **GAUGES, **HISTOGRAMS, **LIBRARY}
SAMPLE = re.compile(r"^([a-z_]+?)(?:_bucket|_count|_sum|_created)?(?:\{(.*)\})? (\S+)$", re.M)
LABEL = re.compile(r'(\w+)="')
ENOUGH = {  # of each role: what shows that records went all the way through it, and that statistics came
    "producer": ("obflow_kafka_brokers_up", "obflow_exchange_latency_seconds", "obflow_clock_offset_seconds"),
    "processor": ("obflow_stage_latency_seconds", "obflow_lag_records", "obflow_book_age_seconds"),
    "regimes": ("obflow_stage_latency_seconds", "obflow_lag_records", "obflow_emitted_total"),
    "sink": ("obflow_kafka_brokers_up", "obflow_stage_latency_seconds", "obflow_lag_records"),
}


def samples(text: str) -> dict[str, list[tuple[set[str], float]]]:
    """Labels and value of each sample, by the metric that declares it."""
    found: dict[str, list[tuple[set[str], float]]] = {}
    for name, labels, value in SAMPLE.findall(text):
        owner = name if name in DECLARED else f"{name}_total"
        found.setdefault(owner, []).append((set(LABEL.findall(labels)) - {"le"}, float(value)))
    return found


async def gathered(broker: str, clickhouse: ClickHouseSettings, folder: Path) -> dict[str, str]:
    """`/metrics` of every role, once each has done its work."""
    async with producing(broker) as running:
        settings = running.settings.model_copy(update={"clickhouse": clickhouse})
        await asyncio.to_thread(make_tables, clickhouse)
        with readers(settings, folder) as ports:
            pages: dict[str, str] = {}

            async def look() -> bool:
                pages["producer"] = running.metrics.page()
                for role, port in ports.items():
                    pages[role] = (await asyncio.to_thread(page, port, "/metrics")).text
                shown = {role: samples(text) for role, text in pages.items()}
                return all(shown[role].get(name) for role, names in ENOUGH.items() for name in names)

            async with asyncio.timeout(patient(60)):
                while not await look():  # noqa: ASYNC110 (other processes)
                    await asyncio.sleep(0.5)
            for role, port in ports.items():
                pages[f"{role} ready"] = (await asyncio.to_thread(page, port, "/ready")).text
        return pages


@pytest.fixture(scope="module")
def pages(
    broker: str, clickhouse_server: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    database = "role_metrics"
    chosen = clickhouse_server.model_copy(update={"database": database})
    migrate.create_database(chosen)
    try:
        yield asyncio.run(gathered(broker, chosen, tmp_path_factory.mktemp("roles")))
    finally:
        with opened(clickhouse_server) as store:
            store.command(f"DROP DATABASE {database} SYNC")


@pytest.mark.parametrize("role", ROLES[1:])
def test_a_role_that_works_is_ready_by_all_its_conditions(role: str, pages: dict[str, str]) -> None:
    told = json.loads(pages[f"{role} ready"])
    assert told["ready"] is True
    assert {one["condition"] for one in told["conditions"]} == set(CONDITIONS[role])


@pytest.mark.parametrize("role", ROLES)
def test_every_metric_of_a_role_is_on_its_page_or_says_what_it_waits_for(role: str, pages: dict[str, str]) -> None:
    shown = samples(pages[role])
    expected = {name for name, metric in DECLARED.items() if role in metric.roles and not metric.once}
    assert expected - shown.keys() == set()


@pytest.mark.parametrize("role", ROLES)
def test_a_page_shows_nothing_that_is_not_declared_for_its_role(role: str, pages: dict[str, str]) -> None:
    shown = samples(pages[role])
    assert {name for name in shown if name not in DECLARED or role not in DECLARED[name].roles} == set()
    for name, found in shown.items():
        assert all(labels == set(DECLARED[name].labels) for labels, _ in found), name


def test_what_is_shown_of_a_working_pipeline_makes_sense(pages: dict[str, str]) -> None:
    shown = {role: samples(text) for role, text in pages.items()}

    def most(role: str, name: str) -> float:
        return max(value for _, value in shown[role][name])

    assert all(most(role, "obflow_kafka_brokers_up") >= 1 for role in ("producer", "sink"))
    assert all(most(role, "obflow_kafka_sent_bytes_total") > 0 for role in ("producer", "sink"))
    assert all(0 < most(role, "obflow_kafka_round_trip_seconds") < 5 for role in ("producer", "sink"))
    assert abs(most("producer", "obflow_clock_offset_seconds")) < 1, "the simulator's clock is ours"
    assert most("processor", "obflow_rebalances_total") >= 1
    assert all(0 <= most(role, "obflow_lag_seconds") < 60 for role in ROLES[1:])
    assert all(most(role, "process_open_fds") > 3 for role in ROLES)
