"""A worker that is late on a real broker: events are withheld in the open, and the audit finds none lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from obflow.settings import ClickHouseSettings
from research.audit import audit
from schemas.topics import FACTORS
from tests.integration.processing import FactorLog, end_of, interleaved, publish, workers
from tests.integration.sinking import pipeline, read_all, run_until
from tests.integration.test_processor import Expected, drained, streams_of

pytestmark = pytest.mark.integration


def test_a_late_worker_withholds_events_and_the_audit_finds_none_lost(
    broker: str, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    settings = pipeline(broker, clickhouse)
    late = {"conflate_above_ms": 1.0, "checkpoint_seconds": 1.0}
    settings = settings.model_copy(update={"processor": settings.processor.model_copy(update=late)})
    streams = streams_of(seed=600, instruments=4, records=200)
    publish(settings, interleaved(streams))
    with workers(settings, tmp_path) as start:
        worker = start()
        drained(settings)
        assert worker.stop() == 0, worker.tail()
    run_until(settings, read_all(end_of(settings, FACTORS)), "factors")
    found, sent = audit(settings, digests=True), FactorLog(settings).read()

    withheld = sum(counts.get("withheld", 0) for counts in found.instruments.values())
    assert (found.expected, found.lost, found.duplicates) == (Expected(streams).events, 0, 0)
    assert found.stored == sent.distinct == found.expected - withheld
    assert 0 < sent.distinct < found.expected / 2
    assert set((found.contents or {}).values()) == {"equal"}
