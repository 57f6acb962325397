"""Replays of the committed recordings, into a stand-in for the broker."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from obflow.metrics import Metrics
from obflow.progress import Bar
from obflow.settings import Settings
from producers.books.records import ProducerRecord
from producers.broker.publisher import Publisher
from producers.exchanges import EXCHANGES
from producers.recordings.digests import digest_of
from producers.recordings.reader import RecordingReplay
from producers.recordings.recording import Recording
from producers.recordings.replay import Replay, ReplayPlan
from schemas.codec import decode
from schemas.errors import UsageError
from schemas.messages import FeedState, FeedStatus, Kind, L2Record, SequenceSource, Source, TradeRecord
from schemas.runs import replay_run
from tests.producers.fake_kafka import FakeClient
from tests.producers.tardis_data import L2_HEADER, Market, as_rows, write_dataset
from tests.support.manual_clock import ManualClock

RECORDINGS = Path(__file__).parents[1] / "recordings"
FUTURES = RECORDINGS / "binance-futures.frames.jsonl.gz"
NOW_NS = 1_800_000_000 * 10**9
RECORDED_NS = 1_704_067_200 * 10**9


class WorkTakesTime(ManualClock):
    """A clock that moves by a millisecond whenever it is asked."""

    def monotonic_ns(self) -> int:
        self.advance(0.001)
        return super().monotonic_ns()


class Sleeper(threading.Event):
    """An event nobody sets, whose waiting takes a clock's time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.slept_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.slept_s += timeout
        self._clock.advance(timeout + 1e-9)
        return self.is_set()


def replayed(
    client: FakeClient, plan: ReplayPlan, paths: Sequence[Path] = (FUTURES,), clock: ManualClock | None = None
) -> list[ProducerRecord]:
    """What reaches the broker."""
    clock = clock or ManualClock(NOW_NS)
    publisher = Publisher(Settings(), Metrics("replay"), clock.now_ns, each_report=False)
    replay = Replay(paths, EXCHANGES["binance-futures"], plan, clock)
    summary = replay.run(publisher, Sleeper(clock), flush_seconds=1)
    records = [decode(sent.value()) for sent in client.log]
    assert summary["messages"] == sum(isinstance(record, L2Record | TradeRecord) for record in records)
    assert summary["instruments"] == len(replay.targets())
    return records  # type: ignore[return-value]


def l2(records: Sequence[ProducerRecord]) -> dict[str, list[L2Record]]:
    by_symbol: dict[str, list[L2Record]] = defaultdict(list)
    for record in records:
        if isinstance(record, L2Record):
            by_symbol[record.symbol].append(record)
    return dict(by_symbol)


def test_a_replay_publishes_what_the_streams_give_and_stops_its_feeds(client: FakeClient) -> None:
    records = replayed(client, ReplayPlan())
    in_memory = list(RecordingReplay(FUTURES, EXCHANGES["binance-futures"]).records())

    def told(record: ProducerRecord) -> str:
        return str(type(record)) + str(
            {name: getattr(record, name) for name in record.__struct_fields__ if name not in ("epoch", "run")}
        )

    assert [told(record) for record in records[:-2]] == [told(record) for record in in_memory]
    assert [record.state for record in records[-2:] if isinstance(record, FeedStatus)] == [FeedState.STOPPED] * 2
    assert {record.source for record in records} == {Source.REPLAY}  # type: ignore[union-attr]
    digest, lines = digest_of(FUTURES), list(Recording(FUTURES).frames())
    run = replay_run("binance-futures", digest, lines[0].received_ns, lines[-1].received_ns, NOW_NS)
    assert {record.run for record in records} == {run}  # type: ignore[union-attr]
    assert digest[:16] in run


def test_a_dataset_of_tardis_is_replayed_like_a_recording(client: FakeClient, tmp_path: Path) -> None:
    market = Market("binance-futures", "binance-futures", ("BTCUSDT",), 3)
    rows = [row for said in market.said if said.trade is None for row in as_rows("binance-futures", said)]
    path = write_dataset(tmp_path / "l2.csv", L2_HEADER, rows)
    records = replayed(client, ReplayPlan(), [path])
    in_memory = list(RecordingReplay(path, EXCHANGES["binance-futures"]).records())
    assert [type(record) for record in records[:-1]] == [type(record) for record in in_memory]
    assert isinstance(records[-1], FeedStatus)
    assert {record.sequence_source for record in l2(records)["BTCUSDT"]} == {SequenceSource.SYNTHETIC}


def test_epochs_begin_at_the_time_of_the_replay_so_that_a_later_one_fences_it(client: FakeClient) -> None:
    for records in l2(replayed(client, ReplayPlan())).values():
        assert {record.epoch for record in records} == {NOW_NS // 10**6}


def test_copies_are_the_same_stream_under_other_names(client: FakeClient) -> None:
    books = l2(replayed(client, ReplayPlan(copies=3)))

    assert sorted(books) == [f"{symbol}-{number:02d}" for symbol in ("BTCUSDT", "ETHUSDT") for number in (1, 2, 3)]
    for number in (2, 3):
        assert [(record.sequence, record.bid_ticks) for record in books[f"BTCUSDT-0{number}"]] == [
            (record.sequence, record.bid_ticks) for record in books["BTCUSDT-01"]
        ]


def test_a_limit_of_diffs_ends_each_instrument_after_its_own(client: FakeClient) -> None:
    records = replayed(client, ReplayPlan(limit_diffs=20))
    for symbol, updates in l2(records).items():
        kinds = Counter(record.kind for record in updates)
        assert kinds == {Kind.SNAPSHOT: 1, Kind.DELTA: 20}, symbol
        assert updates[-1].kind is Kind.DELTA


def test_a_limit_of_frames_ends_the_file_there(client: FakeClient) -> None:
    records = replayed(client, ReplayPlan(limit_frames=200))

    assert 0 < max(record.received_ns for record in records) - RECORDED_NS < 3 * 10**9


def test_shifted_times_begin_now_and_differ_by_one_constant(client: FakeClient) -> None:
    shifted = replayed(client, ReplayPlan(shift_to_now=True))
    client.log.clear()
    plain = replayed(client, ReplayPlan())
    constants = {after.received_ns - before.received_ns for after, before in zip(shifted, plain, strict=True)}
    exchange_constants = {
        after.exchange_ns - before.exchange_ns
        for after, before in zip(shifted, plain, strict=True)
        if isinstance(after, L2Record | TradeRecord) and isinstance(before, L2Record | TradeRecord)
        if after.exchange_ns is not None and before.exchange_ns is not None
    }

    assert len(constants) == 1
    assert exchange_constants == constants
    assert 0 <= min(record.received_ns for record in shifted) - NOW_NS < 10**9


@pytest.mark.parametrize("shift", [True, False])
def test_a_loop_keeps_times_rising_and_each_round_fences_the_one_before(client: FakeClient, shift: bool) -> None:
    books = l2(replayed(client, ReplayPlan(shift_to_now=shift, loop_seconds=6.0), clock=WorkTakesTime(NOW_NS)))

    for updates in books.values():
        times = [record.received_ns for record in updates]
        epochs = [record.epoch for record in updates]
        assert times == sorted(times)
        assert epochs == sorted(epochs)
        assert len(set(epochs)) > 1
        assert sum(record.kind is Kind.SNAPSHOT for record in updates) == len(set(epochs))


def test_a_loop_ends_in_the_middle_of_a_file_and_stops_its_feeds(client: FakeClient) -> None:
    records = replayed(client, ReplayPlan(speed=1.0, loop_seconds=0.5))
    received = [record.received_ns for record in records]

    assert max(received) - RECORDED_NS < 2 * 10**9
    assert isinstance(records[-1], FeedStatus)
    assert records[-1].state is FeedState.STOPPED


@pytest.mark.parametrize("limit", [None, 100, 10**6])
def test_every_step_is_announced_and_watched(client: FakeClient, limit: int | None) -> None:
    told: list[int] = []
    clock = ManualClock(NOW_NS)
    replay = Replay([FUTURES, FUTURES], EXCHANGES["binance-futures"], ReplayPlan(limit_frames=limit), clock)
    publisher = Publisher(Settings(), Metrics("replay"), clock.now_ns, each_report=False)
    replay.run(publisher, Sleeper(clock), flush_seconds=1, watch=Bar(told.append).over)
    assert sum(told) == replay.steps


@pytest.mark.parametrize("plan", [ReplayPlan(loop_seconds=1.0), ReplayPlan(limit_diffs=3)])
def test_a_replay_whose_end_is_not_known_announces_none(client: FakeClient, plan: ReplayPlan) -> None:
    assert Replay([FUTURES], EXCHANGES["binance-futures"], plan, ManualClock(NOW_NS)).steps is None


def test_several_files_are_played_one_after_the_other(client: FakeClient, tmp_path: Path) -> None:
    again = tmp_path / "again.frames.jsonl.gz"
    again.write_bytes(FUTURES.read_bytes())
    books = l2(replayed(client, ReplayPlan(limit_diffs=5), (FUTURES, again)))

    assert [record.kind for record in books["BTCUSDT"]] == ([Kind.SNAPSHOT] + [Kind.DELTA] * 5) * 2


def test_a_file_of_another_venue_is_refused(client: FakeClient, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    with pytest.raises(UsageError, match="holds no instrument of binance-futures"):
        replayed(client, ReplayPlan(), (empty,))


def test_a_replay_waits_for_room_and_loses_nothing(client: FakeClient) -> None:
    client.room = 7
    few = replayed(client, ReplayPlan(limit_diffs=30))
    client.log.clear()
    client.room = 10**6

    assert few == replayed(client, ReplayPlan(limit_diffs=30))


def test_a_pace_is_kept(client: FakeClient) -> None:
    clock = ManualClock(NOW_NS)
    replayed(client, ReplayPlan(speed=10.0, limit_frames=400), clock=clock)
    recorded_ns = max(decode(sent.value()).received_ns for sent in client.log) - RECORDED_NS  # type: ignore[union-attr]

    assert abs(clock.monotonic_ns() - recorded_ns / 10) < 10**7


def test_a_replay_that_is_told_to_stop_ends_its_feeds_and_counts_what_it_has(client: FakeClient) -> None:
    clock = ManualClock(NOW_NS)
    publisher = Publisher(Settings(), Metrics("replay"), clock.now_ns, each_report=False)
    stop = Sleeper(clock)
    stop.set()
    summary = Replay([FUTURES], EXCHANGES["binance-futures"], ReplayPlan(), clock).run(publisher, stop, flush_seconds=1)

    assert summary["messages"] == 0
    assert summary["feed_status"] == 2
