"""A worker of the stage `staleness` that is killed loses no episode, and none is stored twice, by the audit.

What `make test` keeps of the kind is in tests/integration/test_stages.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from obflow import kafka, topics
from obflow.settings import ClickHouseSettings, Settings
from research.audit import audit
from schemas.codec import encode
from schemas.messages import FeedState, FeedStatus, Source
from schemas.topics import ANOMALIES, FEED_STATUS
from tests.integration.made_tables import make_tables
from tests.integration.processing import end_of, pipeline, until, workers
from tests.integration.sinking import opened, run_until
from tests.processors.derived.recorded import emitted, run_stage
from tests.support.patience import patient

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive]

SYMBOLS = tuple(f"SYM{number}" for number in range(12))
SECOND_NS = 10**9
EPISODES = 60
STATES = (FeedState.LIVE, FeedState.STALE, FeedState.STALE, FeedState.LIVE, FeedState.STALE, FeedState.DISCONNECTED)


def statuses(symbol: str) -> list[FeedStatus]:
    """A feed that falls stale, and ends it in one way or the other, again and again."""
    first_ns = time.time_ns() - 1000 * SECOND_NS
    return [
        FeedStatus("binance-futures", symbol, Source.LIVE, state, 1, first_ns + at * SECOND_NS)
        for at, state in enumerate(STATES * (EPISODES // 2))
    ]


def is_read(lags: Mapping[int, int]) -> bool:
    return bool(lags) and not any(lags.values())


def publish(settings: Settings, rows: list[FeedStatus]) -> None:
    producer, topic = kafka.producer(settings), topics.topic_name(settings, FEED_STATUS)
    for row in rows:
        producer.produce(topic, key=str(row.instrument), value=encode(row))
    assert producer.flush(patient(60)) == 0


def test_a_killed_worker_of_staleness_leaves_every_episode_stored_once(
    broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    settings = pipeline(broker).model_copy(update={"clickhouse": clickhouse})
    make_tables(clickhouse)
    feeds = [statuses(symbol) for symbol in SYMBOLS]
    expected = sum(len(emitted(run_stage("staleness", feed))) for feed in feeds)
    rows = [row for at in zip(*feeds, strict=True) for row in at]
    half, often = len(rows) // 2, {"OBFLOW_STALENESS__CHECKPOINT_SECONDS": "0.3"}
    with workers(settings, tmp_path / "staleness", flags=("--stage", "staleness")) as start:
        doomed = start(**often)
        doomed.wait_ready(patient(60))
        publish(settings, rows[:half])
        until(lambda: end_of(settings, ANOMALIES) > expected // 8, patient(60), doomed.tail)
        publish(settings, rows[half : half + half // 2])
        doomed.kill()
        publish(settings, rows[half + half // 2 :])
        heir = start(**often)
        heir.wait_ready(patient(60))
        run_until(settings, lambda counts: counts["anomalies"].rows >= expected, "anomalies", seconds=60)
        assert heir.stop() == 0
    # What was sent again after the kill is on the log, and read to its end before it is audited.
    run_until(settings, lambda counts: is_read(counts["anomalies"].lags), "anomalies")

    [line] = [line for line in audit(settings).tables if line.name == "anomalies"]
    assert (line.counts["lost"], line.counts["duplicates"], line.counts["stored"]) == (0, 0, expected)
    with opened(clickhouse) as store:
        told = store.query(
            "SELECT symbol, countIf(action = 'open'), countIf(action = 'close') FROM anomalies GROUP BY 1 ORDER BY 1"
        )
    assert told == [(symbol, EPISODES, EPISODES) for symbol in sorted(SYMBOLS)]
