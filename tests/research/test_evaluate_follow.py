"""Whoever follows the tables writes all verdicts over one client of the broker."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import pytest
from confluent_kafka import Producer

from obflow import kafka
from obflow.metrics import Metrics
from obflow.settings import KafkaSettings, Settings
from research.evaluate_follow import VerdictWriter
from schemas.evaluations import RegimeEval
from sinks.store import Store

EXAMPLE = Path(__file__).parents[2] / "schemas" / "examples" / "regime-eval" / "v1" / "better.json"


class Stored:
    """A store that keeps what it is told."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def command(self, statement: str, values: dict[str, object]) -> None:
        del values
        self.statements.append(statement)


def test_every_verdict_of_a_follower_goes_over_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = msgspec.json.decode(EXAMPLE.read_bytes(), type=RegimeEval)
    made: list[Producer] = []
    make = kafka.producer

    def counted(settings: Settings) -> Producer:
        made.append(make(settings, {"test.mock.num.brokers": 1, "log_level": 0}))
        return made[-1]

    monkeypatch.setattr(kafka, "producer", counted)
    stored = Stored()
    writer = VerdictWriter(Settings(kafka=KafkaSettings(partitions=1)), cast("Store", stored), Metrics("evaluate"))
    for minute in range(3):
        writer.write(msgspec.structs.replace(verdict, mark_ns=verdict.mark_ns + minute * 60 * 10**9))
    writer.close()
    assert len(made) == 1
    assert len(stored.statements) == 3
