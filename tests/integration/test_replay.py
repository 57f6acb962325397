"""Replays into a real broker, by the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker.publisher import Publisher
from producers.exchanges import EXCHANGES
from producers.recordings.reader import RecordingReplay
from schemas.messages import FeedState, FeedStatus, L2Record, Source
from schemas.topics import DEAD_LETTERS, L2, TRADES
from tests.integration.producing import fresh_topics, read_topic
from tests.producers.l2_reader import books_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration

OBFLOW = [sys.executable, "-c", "import sys; from obflow.cli import main; sys.exit(main())"]
RECORDING = Path(__file__).parents[1] / "recordings" / "binance-futures.frames.jsonl.gz"


@pytest.fixture
def settings(broker: str) -> Settings:
    return fresh_topics(broker)


def run_replay(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    where = {
        "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "OBFLOW_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "OBFLOW_KAFKA__PARTITIONS": str(settings.kafka.partitions),
    }
    command = [*OBFLOW, "replay", str(RECORDING), "--venue", "binance-futures", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=patient(60), env={**os.environ, **where})


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def say(settings: Settings, state: FeedState, source: Source, symbol: str = "BTCUSDT") -> None:
    """A status of a feed, as its producer would write it."""
    publisher = Publisher(settings, Metrics("producer"), SystemClock().now_ns)
    assert publisher.offer(FeedStatus("binance-futures", symbol, source, state, 1, 0))
    publisher.flush(patient(20))
    publisher.close()


def test_a_replay_reports_what_the_broker_has(settings: Settings) -> None:
    summary = summary_of(run_replay(settings, "--copies", "3", "--json"))
    l2, trades = read_topic(settings, L2), read_topic(settings, TRADES)
    in_memory = list(RecordingReplay(RECORDING, EXCHANGES["binance-futures"]).records())

    assert (summary["l2"], summary["trades"]) == (len(l2), len(trades))
    assert summary["messages"] == len(l2) + len(trades)
    assert summary["instruments"] == 6
    assert summary["dead_letters"] == len(read_topic(settings, DEAD_LETTERS)) == 0
    assert len(l2) == 3 * sum(isinstance(record, L2Record) for record in in_memory)
    books = books_of(l2)
    assert set(Counter(name.rpartition("-")[0] for name in books).values()) == {3}
    for book in books.values():
        assert book.live
        assert book.broken == []


def test_a_recording_that_was_replayed_is_refused_unless_told(settings: Settings) -> None:
    first = summary_of(run_replay(settings, "--json"))
    refused = run_replay(settings)
    assert refused.returncode == 2
    assert "this recording is on the log already, as the run replay/binance-futures/" in refused.stderr
    assert "--again" in refused.stderr

    assert summary_of(run_replay(settings, "--again", "--json"))["l2"] == first["l2"]


def test_a_replay_keeps_away_from_an_instrument_that_is_live_and_a_prefix_is_the_way(settings: Settings) -> None:
    say(settings, FeedState.LIVE, Source.SIMULATOR, "ETHUSDT")
    refused = run_replay(settings)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "ETHUSDT of binance-futures is produced into these topics right now (source simulator)" in refused.stderr
    assert "--topic-prefix" in refused.stderr
    assert read_topic(settings, L2) == []

    beside = settings.kafka.topic_prefix + "beside."
    summary = summary_of(run_replay(settings, "--limit-diffs", "5", "--topic-prefix", beside, "--json"))
    assert summary["l2"] == 12
