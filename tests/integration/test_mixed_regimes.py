"""A regime worker from before windows had trades is replaced by one of today, and comes back; no window is lost by it.

ADR 0060 says in which order: tables, sinks, regime workers. What is read back is of both versions, in one log and one
table. `make test` has its kind in tests/integration/test_regimes.py.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from obflow.settings import ClickHouseSettings, Settings
from schemas.codec import decode
from schemas.messages import FactorEvent, RegimeEvent
from schemas.topics import REGIMES
from schemas.versions import SCHEMAS
from tests.integration import processing, sinking
from tests.integration.made_tables import make_tables
from tests.integration.older_code import older_code, run_of
from tests.integration.processing import FRAME_BYTES, Message, Worker, read_all, until, workers
from tests.integration.test_regimes import Publisher, drained, expected, read
from tests.processors.regimes.generated import Market

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow]

BEFORE = "1ec9cd8"
"""The last version that writes `regimes.v4` and checkpoints of layout 2."""
FILES = {version.schema_id: version.filename for version in SCHEMAS}
SYMBOLS = [f"SYM{number:02}" for number in range(8)]
EVENTS = 600
BESIDE, ALONE = 300, 450
"""From which event on the older worker is there, and is gone again."""
PIECE = 20


@pytest.fixture
def code_before(tmp_path: Path) -> Path:
    return older_code(BEFORE, tmp_path / "before")


def test_from_an_older_worker_that_was_killed_no_window_is_lost_or_doubled(
    broker: str, clickhouse: ClickHouseSettings, code_before: Path, tmp_path: Path
) -> None:
    settings, sent = processing.pipeline(broker, {"checkpoint_seconds": 1.0}), markets()
    with ExitStack() as stack:
        start_old = stack.enter_context(workers(settings, tmp_path / "old", "regimes", command=run_of(code_before)))
        start_new = stack.enter_context(workers(settings, tmp_path / "new", "regimes"))
        old = start_old()
        old.wait_ready()
        publishing = publish_slowly(settings, sent)
        until(lambda: versions_written(settings)["regimes.v4.avsc"] > 4 * len(SYMBOLS), 60, old.tail)
        old.kill()
        new = start_new()
        publishing.join()
        drained(settings, 60)
        assert new.stop() == 0, new.tail()

    assert_log_is_whole(settings, sent)
    assert without_trades_though_new(settings, sent) <= Counter(SYMBOLS), "but for the window open at the upgrade"
    assert took_checkpoints_over(new), new.tail()
    assert_table_is_whole(settings, clickhouse, sent)


def test_an_older_worker_beside_a_newer_one_reads_again_and_changes_no_row(
    broker: str, clickhouse: ClickHouseSettings, code_before: Path, tmp_path: Path
) -> None:
    """Which ADR 0060 advises against: it refuses the newer one's checkpoints."""
    settings, sent = processing.pipeline(broker, {"checkpoint_seconds": 1.0}), markets()
    publisher = Publisher(settings)
    with ExitStack() as stack:
        start_old = stack.enter_context(workers(settings, tmp_path / "old", "regimes", command=run_of(code_before)))
        start_new = stack.enter_context(workers(settings, tmp_path / "new", "regimes"))
        new = start_new()
        new.wait_ready()
        publisher.send_all({symbol: events[:BESIDE] for symbol, events in sent.items()})
        drained(settings, 60)
        old = start_old()
        until(lambda: old.owned() > 0, 60, old.tail)
        publisher.send_all({symbol: events[BESIDE:ALONE] for symbol, events in sent.items()})
        until(lambda: bool(old.logged("checkpoint_unreadable")), 60, old.tail)
        drained(settings, 60)
        old.kill()
        publisher.send_all({symbol: events[ALONE:] for symbol, events in sent.items()})
        until(lambda: new.owned() == settings.kafka.partitions, 60, new.tail)
        drained(settings, 60)
        assert new.stop() == 0, new.tail()

    assert_log_is_whole(settings, sent)
    assert read(settings).repeated > 0, "the older worker read nothing again, so it proved nothing"
    assert took_checkpoints_over(new), new.tail()
    assert_table_is_whole(settings, clickhouse, sent)


def markets() -> dict[str, list[FactorEvent]]:
    return {symbol: Market(200 + number).events(EVENTS) for number, symbol in enumerate(SYMBOLS)}


def publish_slowly(settings: Settings, sent: dict[str, list[FactorEvent]]) -> threading.Thread:
    """Publish all symbols' events piece by piece, on a thread of its own."""

    def run() -> None:
        publisher = Publisher(settings)
        for first in range(0, EVENTS, PIECE):
            publisher.send_all({symbol: events[first : first + PIECE] for symbol, events in sent.items()})
            time.sleep(0.3)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def versions_written(settings: Settings) -> Counter[str]:
    """How many records of each schema lie on the log of regimes."""
    return Counter(map(version_of, read_all(settings, REGIMES)))


def version_of(message: Message) -> str:
    """The schema a record was written with."""
    return FILES[int.from_bytes(message.value[1:FRAME_BYTES], "big")]


def without_trades_though_new(settings: Settings, sent: dict[str, list[FactorEvent]]) -> Counter[str]:
    """Windows first published by the newer worker, of whose trades it said something else than a replay."""
    expected_events = {(each.symbol, each.window_end_ns): each for name in sent for each in expected(sent[name], name)}
    first: dict[tuple[str, int], tuple[str, RegimeEvent]] = {}
    for message in read_all(settings, REGIMES):
        event = decode(message.value)
        assert isinstance(event, RegimeEvent)
        first.setdefault((event.symbol, event.window_end_ns), (version_of(message), event))
    assert {version for version, _ in first.values()} == {"regimes.v4.avsc", "regimes.v5.avsc"}
    newer = {place: event for place, (version, event) in first.items() if version == "regimes.v5.avsc"}
    return Counter(place[0] for place, event in newer.items() if event != expected_events[place])


def without_trades(events: Iterable[RegimeEvent]) -> list[RegimeEvent]:
    return [replace(event, trade_flow=None, trade_volume=None) for event in events]


def took_checkpoints_over(worker: Worker) -> bool:
    return not any(worker.logged(event) for event in ("checkpoint_unreadable", "checkpoint_missing"))


def assert_log_is_whole(settings: Settings, sent: dict[str, list[FactorEvent]]) -> None:
    """Each window's first event is what a replay in memory gives, but for trades, and lies where it belongs."""
    found = read(settings)
    for symbol, events in sent.items():
        assert without_trades(found.rule[symbol]) == without_trades(expected(events, symbol)), symbol
    assert found.behind == 0
    assert found.llm == {}


def assert_table_is_whole(
    settings: Settings, clickhouse: ClickHouseSettings, sent: dict[str, list[FactorEvent]]
) -> None:
    """A sink of today reads the records of both versions, and stores each window once."""
    with_database = settings.model_copy(update={"clickhouse": clickhouse})
    make_tables(clickhouse)
    written = sum(versions_written(settings).values())
    windows = sum(len(expected(events, symbol)) for symbol, events in sent.items())
    done = sinking.run_until(
        with_database,
        lambda counts: counts["regimes"].records >= written and counts["regimes"].rows >= windows,
        "regimes",
    )
    assert done["regimes"].dead_lettered == 0
    with sinking.opened(clickhouse) as store:
        distinct = "SELECT count(), uniqExact(symbol, window_end), countIf(trade_volume IS NOT NULL) > 0 FROM regimes"
        assert store.query(distinct) == [(windows, windows, 1)]
