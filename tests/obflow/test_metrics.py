"""Metrics: one list, one page, the same minimum everywhere."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.error
import urllib.request
from typing import Any, get_args
from unittest.mock import ANY

import pytest

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, CounterName, GaugeName, HistogramName
from obflow.metrics import Metrics
from obflow.settings import MetricsSettings
from schemas.errors import UsageError
from tests.obflow.hostile import HOSTILE, obeyed

ALL = (*COUNTERS.values(), *GAUGES.values(), *HISTOGRAMS.values())
MINIMUM = (
    "obflow_received_total",
    "obflow_emitted_total",
    "obflow_rejected_total",
    "obflow_dead_lettered_total",
    "obflow_lag_records",
    "obflow_stage_latency_seconds",
    "obflow_build_info",
)
"""What the page of every role that records go through shows, whatever else it counts."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def asked(port: int, path: str) -> tuple[int, Any]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class TestList:
    def test_every_name_is_declared_once_with_its_meaning(self) -> None:
        assert set(COUNTERS) == set(get_args(CounterName))
        assert set(GAUGES) == set(get_args(GaugeName))
        assert set(HISTOGRAMS) == set(get_args(HistogramName))
        assert all(metric.meaning.endswith(".") for metric in ALL)

    def test_names_say_their_unit(self) -> None:
        assert all(re.fullmatch(r"obflow_[a-z_]+_total", name) for name in COUNTERS)
        assert all(re.fullmatch(r"obflow_[a-z_]+_seconds", name) for name in HISTOGRAMS)
        assert all(name.startswith("obflow_") and not name.endswith("_total") for name in GAUGES)

    def test_every_roles_page_has_the_minimum(self) -> None:
        page = Metrics("sinks").page()
        for name in MINIMUM:
            assert f"# TYPE {name} " in page

    def test_no_label_can_grow_with_the_data(self) -> None:
        unbounded = {"offset", "sequence", "letter_id", "cause", "payload", "error", "price"}
        assert not unbounded & {label for metric in ALL for label in metric.labels}


class TestCounting:
    def test_a_counter_is_shown_by_its_labels(self) -> None:
        metrics = Metrics("producers")
        metrics.counter("obflow_rejected_total", reason="DecodeError").inc()
        metrics.counter("obflow_rejected_total", reason="DecodeError").inc(2)
        assert metrics.value("obflow_rejected_total", reason="DecodeError") == 3
        assert metrics.value("obflow_rejected_total", reason="FrameTooLarge") == 0
        assert 'obflow_rejected_total{reason="DecodeError"} 3.0' in metrics.page()

    def test_two_processes_metrics_do_not_meet(self) -> None:
        first, second = Metrics("a"), Metrics("b")
        first.counter("obflow_gaps_total", venue="binance").inc()
        assert second.value("obflow_gaps_total", venue="binance") == 0

    def test_a_running_total_is_shown_as_it_is(self) -> None:
        metrics = Metrics("producers")
        for total in (3, 3, 7):
            metrics.raise_to("obflow_ignored_total", total, reason="duplicate")
        metrics.raise_to("obflow_ignored_total", 1, reason="late")
        assert metrics.value("obflow_ignored_total", reason="duplicate") == 7
        assert metrics.value("obflow_ignored_total", reason="late") == 1

    def test_a_running_total_never_falls(self) -> None:
        metrics = Metrics("producers")
        metrics.raise_to("obflow_ignored_total", 3, reason="duplicate")
        with pytest.raises(ValueError, match="non-negative"):
            metrics.raise_to("obflow_ignored_total", 2, reason="duplicate")
        metrics.raise_to("obflow_ignored_total", 4, reason="duplicate")
        assert metrics.value("obflow_ignored_total", reason="duplicate") == 4

    def test_a_label_that_is_not_declared_is_refused(self) -> None:
        with pytest.raises(ValueError, match="abel"):
            Metrics("x").counter("obflow_gaps_total", symbol="BTCUSDT")

    def test_latency_is_sorted_into_buckets(self) -> None:
        metrics = Metrics("sinks")
        metrics.histogram("obflow_stage_latency_seconds", stage="stored").observe(0.02)
        assert 'obflow_stage_latency_seconds_bucket{le="0.025",stage="stored"} 1.0' in metrics.page()
        assert 'obflow_stage_latency_seconds_bucket{le="0.01",stage="stored"} 0.0' in metrics.page()


class TestServing:
    def test_the_page_is_served_while_the_block_runs(self) -> None:
        metrics, port = Metrics("sinks"), free_port()
        before = threading.active_count()
        with metrics.served(MetricsSettings(port=port)):
            metrics.counter("obflow_stored_total", table="factors").inc(5)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                assert 'obflow_stored_total{table="factors"} 5.0' in answer.read().decode()
        assert threading.active_count() == before
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=1)

    def test_live_and_ready_have_pages_of_their_own_with_the_reason(self) -> None:
        metrics, port = Metrics("sinks"), free_port()
        metrics.health.note("broker", "no answer")
        with metrics.served(MetricsSettings(port=port)):
            assert asked(port, "/live") == (200, {"live": True, "loop_moved_s_ago": ANY})
            status, body = asked(port, "/ready")
            assert (status, body["ready"]) == (503, False)
            assert body["conditions"] == [
                {"condition": "broker", "holds": False, "why": "no answer", "since_unix_s": ANY, "for_s": ANY}
            ]
            assert metrics.value("obflow_ready", condition="broker") == 0
            metrics.health.note("broker")
            assert asked(port, "/ready")[0] == 200
            assert metrics.value("obflow_ready", condition="broker") == 1

    def test_an_address_with_colons_is_served_too(self) -> None:
        port = free_port()
        with Metrics("sinks").served(MetricsSettings(port=port, host="::1")):
            urllib.request.urlopen(f"http://[::1]:{port}/live", timeout=5).close()

    def test_port_0_serves_nothing(self) -> None:
        with Metrics("sinks").served(MetricsSettings()):
            assert "pages" not in {thread.name for thread in threading.enumerate()}

    def test_a_port_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with (
                pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port} \(Address already in use\)"),
                Metrics("x").served(MetricsSettings(port=port)),
            ):
                pass


def test_a_label_from_outside_controls_nothing_and_is_counted_under_its_name() -> None:
    metrics = Metrics("test")
    for venue in (HOSTILE, "half a character: \ud800"):
        metrics.counter("obflow_gaps_total", venue=venue).inc(3)
        assert metrics.value("obflow_gaps_total", venue=venue) == 3
    assert obeyed(metrics.page()) == ""
