"""Who claims a partition last is the only one that writes it, however late an insert of anybody else arrives."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator

import pytest

from obflow.clock import SystemClock
from obflow.settings import ClickHouseSettings
from schemas.logs import Position
from sinks.batching import RowBatch
from sinks.claims import Claim, ClaimLost, claim
from sinks.resume import stored_positions
from sinks.store import Store
from sinks.tables import TABLES
from sinks.writer import Writer
from tests.integration.made_tables import make_tables
from tests.integration.sinking import opened
from tests.sinks.fakes import FakeLetters
from tests.sinks.records import entry, factors
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

FACTORS, LOG = TABLES["factors"], "factlogf"
ROUNDS = 300 if os.environ.get("OBFLOW_FUZZ") == "all" else 6
"""How often two that claim at the same moment write the same log."""
SLOW_ROWS = 40
SLOW = """INSERT INTO factors (symbol, source_offset, k_log, k_part, k_off)
    SELECT 'A', number, 'factlogf', 0, number FROM (
        SELECT max(number) OVER (ROWS BETWEEN 20000 PRECEDING AND CURRENT ROW) AS number FROM numbers(400000)
    ) WHERE number % 10000 = 0 AND """
"""An insert that works for some seconds, so that it is seen at work on a machine however fast."""


@pytest.fixture
def store(clickhouse: ClickHouseSettings) -> Iterator[Store]:
    make_tables(clickhouse)
    with opened(clickhouse) as found:
        yield found


def claimed(store: Store, *partitions: int) -> Claim:
    return claim(store, FACTORS, LOG, partitions, who=secrets.token_hex(8), now_ns=time.time_ns())


def writer(store: Store, own: Claim) -> Writer:
    return Writer(FACTORS, store, FakeLetters(), own, clock=SystemClock(), stop=threading.Event())


def batch(*offsets: int, partition: int = 0) -> RowBatch:
    return RowBatch.of(FACTORS, [entry(Position(LOG, partition, one), factors("A", [one])) for one in offsets])


def stored(store: Store) -> list[int]:
    return [offset for (offset,) in store.query("SELECT k_off FROM factors ORDER BY k_off")]


def test_an_insert_sent_after_a_higher_claim_stores_nothing(store: Store) -> None:
    first = writer(store, claimed(store, 0, 1))
    first.write(batch(0, 1))
    second = writer(store, claimed(store, 1, 2))

    with pytest.raises(ClaimLost):
        first.write(batch(2, 3))
    second.write(batch(2, 3, partition=2))
    assert store.query("SELECT k_part, count() FROM factors GROUP BY k_part ORDER BY k_part") == [(0, 2), (2, 2)]


def test_claims_of_other_partitions_logs_and_tables_keep_nobody_from_writing(store: Store) -> None:
    own = writer(store, claimed(store, 0))
    claimed(store, 1)
    claim(store, FACTORS, "anotherl", [0], who="ff", now_ns=time.time_ns())
    claim(store, TABLES["trades"], LOG, [0], who="ff", now_ns=time.time_ns())
    own.write(batch(0))

    assert stored(store) == [0]


def test_claims_rise_though_the_clock_goes_back_and_though_they_were_taken_out(store: Store) -> None:
    first = claimed(store, 0)
    second = claim(store, FACTORS, LOG, [0], who="00", now_ns=5)
    assert second.text > first.text
    store.command("TRUNCATE TABLE sink_claims")
    assert claimed(store, 0).text > second.text


def test_who_claims_waits_for_an_insert_that_began_before(store: Store) -> None:
    """Its condition was asked already, so nothing but waiting for its end can tell what it stores."""
    old = claimed(store, 0)
    slow = threading.Thread(target=lambda: store.command(SLOW + old.condition))
    slow.start()
    running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO factors%'"
    assert eventually(lambda: store.query(running) == [(1,)])
    claimed(store, 0)
    [(at_once,)] = store.query("SELECT count() FROM factors")
    slow.join()

    assert at_once == SLOW_ROWS
    assert store.query("SELECT count() FROM factors") == [(SLOW_ROWS,)]


@pytest.mark.exhaustive
def test_two_that_claim_at_the_same_moment_store_every_record_once(
    store: Store, clickhouse: ClickHouseSettings
) -> None:
    """Each reads where the table ends and goes on from there, until the other has claimed."""
    meet, fenced = threading.Barrier(2), []

    def work() -> None:
        with opened(clickhouse) as own_store:
            for _ in range(ROUNDS):
                meet.wait()
                own = writer(own_store, claimed(own_store, 0))
                begin = stored_positions(own_store, FACTORS).get((LOG, 0), -1) + 1
                try:
                    for first in range(begin, begin + 6, 3):
                        own.write(batch(first, first + 1, first + 2))
                except ClaimLost:
                    fenced.append(begin)

    both = [threading.Thread(target=work) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    found = stored(store)
    print(f"{ROUNDS} rounds: {len(found)} rows, {len(fenced)} fenced off")  # noqa: T201

    assert found == list(range(len(found)))
    assert len(found) >= 6 * ROUNDS
    assert fenced
