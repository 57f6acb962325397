"""The processor: a worker that keeps books and computes factors, `l2.v1` in and `factors.v1` out."""

from __future__ import annotations

from dataclasses import replace

from obflow.metrics import Metrics
from obflow.settings import Settings
from processors.agents.books import BooksAgent
from processors.partition import ROLE
from processors.worker.app import Fail, Names, Role, Worker, wire
from processors.worker.cut import SourceLog
from processors.worker.meters import Meters
from schemas.topics import BOOKS_CHANGELOG, DEAD_LETTERS, FACTORS, L2, RESYNC


def create_processor(settings: Settings, source: SourceLog, metrics: Metrics, fail: Fail) -> Worker[BooksAgent]:
    """Wire a processor."""
    meters = Meters(metrics)
    names = Names(settings.processor.app_id, "books", ROLE)
    worker = wire(settings, source, names, lambda ties: BooksAgent(settings, ties, meters), meters, fail)
    return replace(worker, beside={"requests": worker.agent.ask})


PROCESSOR = Role("processor", L2, (FACTORS, RESYNC, DEAD_LETTERS, BOOKS_CHANGELOG), create_processor)
