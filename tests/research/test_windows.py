"""The audit's own count of closed windows, held against what the regime workers make of the same records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obflow.whole_log import Logged
from processors.regimes.state import RegimeState, close_windows
from research.expected import Identity
from research.windows import ClosedWindows
from schemas.messages import FactorRecord
from tests.processors.regimes.generated import RULES, Market, packed, record, shifted


def closed_by_workers(records: list[FactorRecord]) -> set[Identity]:
    state, found = RegimeState(), set()
    for one in records:
        for closed in close_windows(state, one, RULES, lambda _: None):
            found.add(Identity(one.instrument, closed.source_log, closed.source_partition, closed.source_offset))
    return found


def closed_by_audit(records: list[FactorRecord], refused: set[tuple[int, int]] | None = None) -> ClosedWindows:
    windows = ClosedWindows(refused or set())
    for offset, one in enumerate(records):
        windows.take(Logged(0, offset, b""), one)
    return windows


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    moves=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4), st.integers(-100, 100)), max_size=6),
)
def test_it_finds_the_windows_that_the_workers_close(
    seed: int, sizes: list[int], moves: list[tuple[int, int, int]]
) -> None:
    """Records that are sent again, time that goes back, another log and back to the one that was left."""
    records = packed(Market(seed).events(250), sizes)
    for place, kind, seconds in moves:
        one = records[place % len(records)]
        last = max(event.source_offset for each in records for event in each.events)
        changed = {
            0: one,
            1: record([shifted(event, seconds=seconds, offset=last) for event in one.events]),
            2: record(one.events, source_log="another1"),
            3: record([shifted(event, seconds=seconds) for event in one.events], source_log="another2"),
            4: record([shifted(event, seconds=-70.0, offset=last) for event in one.events]),
        }[kind]
        records.insert((place * 7) % (len(records) + 1), changed)

    assert closed_by_audit(records).closed.keys() == closed_by_workers(records)


def test_what_a_worker_dead_lettered_counts_for_nothing() -> None:
    records = packed(Market(3).events(120), [20])
    found = closed_by_audit(records, {(0, 2)})

    assert found.closed.keys() == closed_by_workers([*records[:2], *records[3:]])


def test_a_window_is_known_with_the_record_that_closes_it() -> None:
    """Whoever has not read that far cannot have judged it."""
    records = packed(Market(5).events(120), [10])
    places = closed_by_audit(records).closed

    assert places
    for identity, (_, offset) in places.items():
        assert identity.offset in {event.source_offset for event in records[offset].events}
