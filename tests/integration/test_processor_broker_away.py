"""The broker goes away under a worker: the same process goes on, says little, commits again, and all is exact."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from random import Random

import pytest

from embedded.kafka import EmbeddedKafka
from obflow import kafka_logs, topics
from obflow.settings import Settings
from schemas.topics import L2
from tests.integration.backends import free_port
from tests.integration.processing import FactorLog, interleaved, pipeline, publish, renamed, until, workers
from tests.integration.test_database_away import AWAY_S, LINES_A_SECOND, most_a_second
from tests.integration.test_processor import Expected, assert_whole, drained
from tests.processors.generated import GRIDS, Producer
from tests.support.servers import started

pytestmark = [pytest.mark.integration, pytest.mark.slow]

INSTRUMENTS = 8
RECORDS = 600
RATE = INSTRUMENTS * RECORDS / (AWAY_S + 10.0)
"""The last come when the broker is back."""
COMMITS_AGAIN_S = 30.0
FIRST_LINES = 10
"""Each part of a client says once that it lost the broker, all in the first second."""


def committed(settings: Settings) -> int:
    """How many records the group has committed."""
    name = topics.topic_name(settings, L2)
    offsets = kafka_logs.committed_offsets(settings, settings.kafka.topic_prefix + settings.processor.app_id, [name])
    return sum(offset for offset in offsets.values() if offset is not None and offset > 0)


@pytest.mark.usefixtures("own_servers")
def test_a_broker_that_is_away_costs_a_worker_no_event_no_person_and_few_lines(tmp_path: Path) -> None:
    producers = [
        Producer(Random(number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], 0.01, 60_000_000)
        for number in range(INSTRUMENTS)
    ]
    streams = [renamed(producer.records(RECORDS), f"SYM{number:02}") for number, producer in enumerate(producers)]
    with started(EmbeddedKafka(tmp_path / "broker", port=free_port())) as broker:
        settings = pipeline(broker.bootstrap)
        keeping = settings.producer.model_copy(update={"delivery_timeout_seconds": 600.0})
        sending = settings.model_copy(update={"producer": keeping})
        publishing = threading.Thread(target=publish, args=(sending, interleaved(streams), RATE))
        with workers(settings, tmp_path / "logs") as start:
            worker = start()
            worker.wait_ready()
            publishing.start()
            until(lambda: committed(settings) > 0, 20, worker.tail)
            lines, before = len(worker.log_lines()), committed(settings)
            broker.kill()
            time.sleep(AWAY_S)
            assert worker.process.poll() is None, worker.tail()
            told = worker.log_lines()[lines:]
            broker.start()
            back_s = time.monotonic()
            until(lambda: committed(settings) > before, COMMITS_AGAIN_S, worker.tail)
            again_s = time.monotonic() - back_s
            publishing.join()
            drained(settings, 60)
            assert worker.stop() == 0, worker.tail()
            stored = FactorLog(settings).read()
    most = most_a_second(told)
    print(f"away {AWAY_S:.0f} s: {len(told)} lines, most in a second {most}; committed after {again_s:.1f} s")  # noqa: T201

    assert len(told) <= FIRST_LINES + LINES_A_SECOND * AWAY_S
    assert_whole(stored, Expected(streams))
