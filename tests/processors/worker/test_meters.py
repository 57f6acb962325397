"""What a worker shows of itself."""

from __future__ import annotations

import pytest

from obflow.health import PARTITIONS
from obflow.metrics import Metrics
from processors.contract import Count
from processors.worker.meters import WorkerMeters
from processors.worker.outbox import Send
from schemas.topics import L2

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("processor")


@pytest.fixture
def meters(metrics: Metrics) -> WorkerMeters:
    return WorkerMeters(metrics, L2, "factor", now_ns=lambda: NOW_NS)


def result(age_s: float, *, is_result: bool = True) -> Send:
    return Send("factors.v1", b"", b"", 0, 0, 0, received_ns=NOW_NS - round(age_s * 1e9), is_result=is_result)


def latencies(metrics: Metrics) -> tuple[float, float]:
    count = metrics.registry.get_sample_value("obflow_stage_latency_seconds_count", {"stage": "factor"})
    total = metrics.registry.get_sample_value("obflow_stage_latency_seconds_sum", {"stage": "factor"})
    return count or 0, total or 0


def test_an_acknowledged_factor_tells_its_latency(meters: WorkerMeters, metrics: Metrics) -> None:
    meters.acknowledged(result(0.25), in_flight=3)

    assert latencies(metrics) == (1, 0.25)
    assert metrics.value("obflow_emitted_total", topic="factors.v1") == 1
    assert metrics.value("obflow_buffered_records", stage="outbox") == 3


@pytest.mark.parametrize("age_s", [-0.1, 3600.5, 86400 * 800])
def test_a_time_of_another_run_or_clock_is_no_latency(meters: WorkerMeters, metrics: Metrics, age_s: float) -> None:
    meters.acknowledged(result(age_s), in_flight=0)

    assert latencies(metrics) == (0, 0)


def test_only_results_have_a_latency(meters: WorkerMeters, metrics: Metrics) -> None:
    meters.acknowledged(result(0.25, is_result=False), in_flight=0)

    assert latencies(metrics) == (0, 0)


def test_lag_is_shown_for_each_partition_and_gone_with_it(meters: WorkerMeters, metrics: Metrics) -> None:
    meters.lag({0: 5, 1: 7}, {0: 9, 1: 6})
    assert metrics.value("obflow_lag_records", topic="l2.v1", partition="0") == 4
    assert metrics.value("obflow_lag_records", topic="l2.v1", partition="1") == 0

    meters.lag({1: 7}, {0: 9, 1: 10})
    assert metrics.value("obflow_lag_records", topic="l2.v1", partition="0") == 0
    assert metrics.value("obflow_lag_records", topic="l2.v1", partition="1") == 3


def test_the_age_of_what_waits_is_the_oldest_of_all_partitions(metrics: Metrics) -> None:
    now = [NOW_NS]
    meters = WorkerMeters(metrics, L2, "factor", now_ns=lambda: now[0])
    for look, ends in enumerate(({0: 5, 1: 5}, {0: 9, 1: 5}, {0: 9, 1: 8})):
        now[0] = NOW_NS + look * 2 * 10**9
        meters.lag({0: 5, 1: 5}, ends)
    assert metrics.value("obflow_lag_seconds", topic="l2.v1") == 2

    meters.lag({1: 5}, {0: 9, 1: 8})
    assert metrics.value("obflow_lag_seconds", topic="l2.v1") == 0, "the other worker's partition is no longer ours"


def test_readiness_follows_the_partitions(meters: WorkerMeters, metrics: Metrics) -> None:
    def why() -> str:
        return next(told["why"] for told in metrics.health.ready()[1]["conditions"] if told["condition"] == PARTITIONS)

    meters.partitions_granted(3)
    assert why() == "the checkpoints of 3 partitions are being read"
    meters.partitions_recovered()
    assert why() == ""
    meters.partitions_withdrawn()
    assert why() == "the group is sharing out its partitions"
    meters.partitions_granted(0)
    assert why() == "", "with nothing to recover there is nothing to wait for"
    assert metrics.value("obflow_rebalances_total", topic="l2.v1") == 2


def test_what_a_stage_has_counted_is_raised_and_what_it_shows_is_set(meters: WorkerMeters, metrics: Metrics) -> None:
    for number in (2, 3):
        meters.count(Count("obflow_gaps_total", "venue", "binance", number))
        meters.publish_gauges([Count("obflow_books", "state", "live", number)])

    assert metrics.value("obflow_gaps_total", venue="binance") == 5
    assert metrics.value("obflow_books", state="live") == 3
