"""What a role's pages say on real parts: it lives from its start, and is ready once it has what it works on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from obflow import topics
from obflow.health import BROKER, FEED, PARTITIONS, STORE
from obflow.settings import ClickHouseSettings, MetricsSettings, Settings
from tests.integration.processing import pipeline, workers
from tests.integration.producing import producing
from tests.integration.roles import free_port, page
from tests.integration.sinking import Sink
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


def settings_without_a_store(broker: str) -> Settings:
    """A pipeline whose database answers nowhere."""
    nowhere = ClickHouseSettings(host="127.0.0.1", port=free_port())
    return pipeline(broker).model_copy(update={"clickhouse": nowhere})


@pytest.mark.exhaustive
def test_workers_live_at_once_and_are_ready_once_their_partitions_are(broker: str, tmp_path: Path) -> None:
    """Also the one for which no partition is left: it waits for nothing."""
    ports, settings = [free_port() for _ in range(2)], pipeline(broker)
    one = {"partitions": 1, "topic_prefix": f"one-{settings.kafka.topic_prefix}"}
    single = settings.model_copy(update={"kafka": settings.kafka.model_copy(update=one)})
    topics.apply(single)
    with workers(single, tmp_path) as start:
        started = [start(OBFLOW_METRICS__PORT=str(port)) for port in ports]
        assert eventually(lambda: page(ports[0], "/ready").status == 503, 20), started[0].tail()
        assert PARTITIONS in page(ports[0], "/ready").unmet()
        assert page(ports[0], "/live").status == 200
        assert eventually(lambda: all(page(port, "/ready").status == 200 for port in ports), 40), started[0].tail()
        assert eventually(lambda: sorted(worker.owned() for worker in started) == [0, 1], 10)


def test_a_sink_without_its_store_lives_and_says_what_it_waits_for(broker: str, tmp_path: Path) -> None:
    port = free_port()
    with Sink(settings_without_a_store(broker), tmp_path / "log", "--metrics-port", str(port)) as sink:
        assert eventually(lambda: page(port, "/ready").status == 503, 20), sink.log
        assert STORE in page(port, "/ready").unmet()
        assert page(port, "/live").status == 200


async def test_a_producer_is_ready_while_its_venue_is_connected(broker: str) -> None:
    port = free_port()
    async with producing(broker) as running:
        with running.metrics.served(MetricsSettings(port=port)):
            await running.all_live()
            await running.until(lambda: running.metrics.health.ready()[0])
            ready = await asyncio.to_thread(page, port, "/ready")
            assert {one["condition"] for one in ready.json["conditions"]} == {BROKER, FEED}

            await running.venue.server.close()
            await running.until(lambda: not running.metrics.health.ready()[0])
            lost = await asyncio.to_thread(page, port, "/ready")
            assert (lost.status, lost.unmet()) == (503, {FEED: "2 of 2 connections to binance-futures are lost"})
            assert (await asyncio.to_thread(page, port, "/live")).status == 200
