"""A worker of the stage `levels` that is killed loses no pattern and tells none in two ways, on a real broker.

`make test` has its kind in tests/integration/test_stages.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from obflow.settings import Settings
from schemas.codec import decode_as
from schemas.messages import AnomalyEvent, AnomalyKind, L2Record
from schemas.topics import ANOMALIES
from tests.integration.processing import end_of, interleaved, pipeline, publish, read_all, renamed, until, workers
from tests.processors.anomalies.planted import PlantedMarket
from tests.processors.derived.recorded import emitted, run_stage

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration]

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")
EPISODES = 3


def planted(seed: int, symbol: str) -> list[L2Record]:
    return renamed(list(PlantedMarket(seed, 40.0 * EPISODES, EPISODES).records()), symbol)


def said(event: AnomalyEvent) -> tuple[object, ...]:
    """What a record says but where it lies, which another order of instruments changes."""
    return (event.symbol, event.kind, event.step, event.received_ns, event.side, event.price, event.score)


def test_a_killed_worker_of_levels_leaves_every_pattern_once(broker: str, tmp_path: Path) -> None:
    settings = pipeline(broker)
    streams = [planted(seed, symbol) for seed, symbol in enumerate(SYMBOLS, 11)]
    expected = [said(event) for records in streams for event in emitted(run_stage("levels", records))]
    half = [len(records) // 2 for records in streams]
    often = {"OBFLOW_LEVELS__CHECKPOINT_SECONDS": "0.5"}
    with workers(settings, tmp_path / "levels", flags=("--stage", "levels")) as start:
        doomed = start(**often)
        doomed.wait_ready()
        publish(settings, interleaved([records[:at] for records, at in zip(streams, half, strict=True)]))
        until(lambda: end_of(settings, ANOMALIES) > 0, 60, doomed.tail)
        doomed.kill()
        publish(settings, interleaved([records[at:] for records, at in zip(streams, half, strict=True)]))
        heir = start(**often)
        heir.wait_ready()
        until(lambda: {said(one) for one in told(settings)} >= set(expected), 60, heir.tail)
        assert heir.stop() == 0

    found: dict[tuple[str, str, int], AnomalyEvent] = {}
    for event in told(settings):
        place = (event.symbol, event.stream, event.source_offset)
        assert found.setdefault(place, event) == event, "what is told again is the same"
    assert sorted(map(said, found.values()), key=str) == sorted(expected, key=str)
    assert sum(event.kind is AnomalyKind.SPOOFING_LIKE for event in found.values()) >= len(SYMBOLS) * EPISODES


def told(settings: Settings) -> list[AnomalyEvent]:
    return [decode_as(AnomalyEvent, message.value) for message in read_all(settings, ANOMALIES)]
