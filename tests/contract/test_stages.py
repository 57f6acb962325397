"""What every line of STAGES holds to. A new line is covered by itself: its log is made by the stage that writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import processors.stages
from obflow.metric_list import COUNTERS, GAUGES
from obflow.settings import Settings
from processors.contract import Batch, Count, Emit, Emitted, Stage
from processors.stages import STAGES, stage_named
from processors.worker.changelog import Checkpoint
from processors.worker.failures import MAX_UNFORESEEN, ReadAgain
from processors.worker.promises import PromiseBroken
from schemas.codec import decode_as, encode
from schemas.errors import FatalError, MessageError, UsageError
from schemas.messages import L2Record
from schemas.partitions import partition_of
from schemas.topics import BY_NAME, L2, TOPICS
from schemas.units import MS_PER_DAY
from tests.processors.staged import EVERY_STAGE, LOG, OTHER_LOG, KafkaRecord, Reader, log_of, stage_of, told
from tests.support.tiers import fourth_of

SEEDS = range(3)
RECORDS = 160
"""Of the first stage of a chain: some 35 s of three instruments."""

LINE = pytest.mark.parametrize("name", STAGES)
EACH = pytest.mark.parametrize("name", EVERY_STAGE)

Said = tuple[str, str, bytes]


def log_for(name: str, seed: int = 0, records: int = RECORDS) -> list[KafkaRecord]:
    """A partition of the stage's own topic, its records in every state and with every fault there is."""
    return log_of(EVERY_STAGE[name].reads, seed, records)


def said(emits: list[Emit]) -> list[Said]:
    """What records say, without how they are packed."""
    return [part for emit in emits for part in told(emit)]


def by_key(parts: list[Said]) -> dict[str, list[Said]]:
    """Each key's own, in order: across keys no order is promised."""
    found: dict[str, list[Said]] = {}
    for part in parts:
        found.setdefault(part[1], []).append(part)
    return found


def made_of(name: str, records: list[KafkaRecord]) -> dict[str, list[Said]]:
    """What a stage makes of records in one go."""
    return by_key(said(Reader(stage_of(name)).read(records)))


@cache
def whole(name: str, seed: int = 0) -> dict[str, list[Said]]:
    """What a stage makes of its whole log in one go."""
    return made_of(name, log_for(name, seed))


@LINE
def test_a_line_is_a_class_of_that_name_in_a_file_of_that_name(name: str) -> None:
    folder = Path(processors.stages.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(STAGES)
    assert STAGES[name].__module__ == f"processors.stages.{name}"
    assert STAGES[name].name == name


@LINE
def test_its_topics_are_declared_with_it_as_their_writer_and_reader(name: str) -> None:
    stage = STAGES[name]
    assert {stage.reads, *stage.writes, stage.changelog} <= set(TOPICS)
    assert stage.changelog.cleanup == "compact"
    roles = {stage.role, f"{stage.role}s"}
    assert roles & set(stage.reads.read_by)
    assert all(roles & set(topic.written_by) for topic in (*stage.writes, stage.changelog))


@LINE
def test_its_settings_name_its_group_its_interval_and_so_its_changelog(name: str) -> None:
    stage, section = STAGES[name], getattr(Settings(), STAGES[name].role)
    assert section.checkpoint_seconds > 0
    assert stage.changelog.name.startswith(f"{section.app_id}-")
    assert stage.changelog.name.endswith("-changelog")
    assert [other for other in STAGES.values() if other.changelog == stage.changelog] == [stage]
    assert [other for other in STAGES.values() if other.role == stage.role] == [stage], "two would be one group"


@LINE
def test_a_name_that_is_misspelt_is_refused_with_the_nearest(name: str) -> None:
    assert stage_named(name) is STAGES[name]
    with pytest.raises(UsageError, match=f"did you mean {name}"):
        stage_named(name + "x")


@EACH
@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_of_these_tests_makes_it_emit(name: str, seed: int) -> None:
    """Else what follows would say little."""
    emitted = whole(name, seed)
    assert len(emitted) == 3
    assert sum(map(len, emitted.values())) >= 10


@EACH
def test_what_it_emits_goes_to_its_topics_and_holds_back_records_it_was_given(name: str) -> None:
    stage, records = stage_of(name), log_for(name)
    reader = Reader(stage)
    for first in range(0, len(records), 7):
        piece = records[first : first + 7]
        offsets = {record.offset for record in piece}
        for emit in reader.read(piece):
            assert emit.topic in stage.writes
            assert emit.source_offset in offsets
            assert emit.received_ns > 0


@EACH
def test_what_it_counts_is_a_metric_there_is_by_its_one_label(name: str) -> None:
    stage, reader = stage_of(name), Reader(stage_of(name))
    records = log_for(name)
    counts: list[Count] = []
    for run in reader.held.decode([*records, *records]).runs:
        counts += reader.held.process(run, 0.0).emitted.counts
    for now_s in range(20):
        counts += [count for emitted in reader.held.timers(float(now_s)) for count in emitted.counts]
    for count in counts:
        assert COUNTERS[count.metric].labels == (count.label,)  # type: ignore[index] # what is tested
        assert count.number > 0
    for gauge in stage.gauges(reader.held.states(), 20.0):
        assert GAUGES[gauge.metric].labels == (gauge.label,)  # type: ignore[index] # what is tested


@EACH
@given(seed=st.sampled_from(SEEDS), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_any_split_into_batches_says_the_same(name: str, seed: int, sizes: list[int]) -> None:
    records = log_for(name, seed)
    reader, at, turn = Reader(stage_of(name)), 0, 0
    while at < len(records):
        size = sizes[turn % len(sizes)]
        reader.read(records[at : at + size])
        at, turn = at + size, turn + 1
    assert by_key(said(reader.sent)) == whole(name, seed)


@EACH
@settings(max_examples=fourth_of(40))
@given(seed=st.sampled_from(SEEDS), cuts=st.lists(st.integers(0, RECORDS), max_size=6))
def test_a_checkpoint_restored_at_any_cut_says_the_same(name: str, seed: int, cuts: list[int]) -> None:
    records = log_for(name, seed)
    emitted: list[Emit] = []
    saved: dict[str, bytes] = {}
    edges = sorted({0, len(records), *(min(cut, len(records)) for cut in cuts)})
    for start, end in pairwise(edges):
        reader = Reader(stage_of(name), start, saved)
        _read_on(reader, records, start, end)
        emitted += reader.sent
        reader.save()
        saved = reader.saved
        assert reader.unreadable == []
    assert by_key(said(emitted)) == whole(name, seed)


def _read_on(reader: Reader, records: list[KafkaRecord], start: int, end: int) -> None:
    """Read from one offset to another, and from farther back for each key whose state asks for it."""
    for _ in range(10):
        try:
            reader.read(records[start:end])
        except ReadAgain as again:
            start = again.offset
        else:
            return
    pytest.fail("a partition is read again once a key")


@EACH
@given(seed=st.sampled_from(SEEDS), share=st.floats(0.0, 1.0))
def test_what_comes_later_changes_nothing_of_what_was_said(name: str, seed: int, share: float) -> None:
    records = log_for(name, seed)
    before, after = made_of(name, records[: int(share * len(records))]), whole(name, seed)
    assert all(after[key][: len(parts)] == parts for key, parts in before.items())


@EACH
@given(seed=st.sampled_from(SEEDS), start=st.floats(0.0, 1.0), end=st.floats(0.0, 1.0))
def test_records_read_again_say_nothing(name: str, seed: int, start: float, end: float) -> None:
    records = log_for(name, seed)
    first, last = sorted((int(start * len(records)), int(end * len(records))))
    reader = Reader(stage_of(name))
    emitted = reader.read(records[:last])
    assert reader.read(records[first:last]) == []
    assert reader.skipped == last - first
    emitted += reader.read(records[last:])
    assert by_key(said(emitted)) == whole(name, seed)


@EACH
def test_a_state_is_written_down_whole_and_the_same_each_time(name: str) -> None:
    stage, reader = stage_of(name), Reader(stage_of(name))
    reader.read(log_for(name))
    reader.save()
    assert len(reader.saved) == 3
    for key, state in zip(reader.saved, list(reader.held.states()), strict=True):
        data = stage.dump(state)
        assert stage.dump(stage.load(key, data)) == data


@EACH
def test_a_lost_checkpoint_starts_its_key_afresh_and_no_other(name: str) -> None:
    records = log_for(name)
    first = Reader(stage_of(name))
    first.read(records)
    first.save()
    lost = sorted(first.saved)[0]
    reader = Reader(stage_of(name), 0, {key: data for key, data in first.saved.items() if key != lost})
    of_lost = made_of(name, [record for record in records if (record.key or b"").decode() == lost])
    assert by_key(said(reader.read(records))) == of_lost
    assert [whole(name)[key] for key in of_lost] == list(of_lost.values())


@EACH
@pytest.mark.parametrize("damage", ["cut", "flipped", "another layout", "another offset", "cut state", "empty"])
def test_a_checkpoint_that_is_none_of_its_own_is_told_and_never_taken(name: str, damage: str) -> None:
    records = log_for(name)
    first = Reader(stage_of(name))
    first.read(records)
    first.save()
    saved = {key: _damaged(data, damage) for key, data in first.saved.items()}
    reader = Reader(stage_of(name), 0, saved)
    assert by_key(said(reader.read(records))) == whole(name)
    assert sorted(reader.unreadable) == sorted(first.saved)


def _damaged(data: bytes, how: str) -> bytes:
    checkpoint = Checkpoint.from_bytes(data)
    if how in ("cut", "flipped"):
        return data[:-1] if how == "cut" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    if how == "another offset":
        return checkpoint._replace(next_offset=checkpoint.next_offset + 1).to_bytes()
    state = {
        "cut state": checkpoint.state[:-1],
        "another layout": bytes([checkpoint.state[0] ^ 255]) + checkpoint.state[1:],
        "empty": b"",
    }[how]
    return checkpoint._replace(state=state).to_bytes()


@EACH
def test_a_log_made_anew_is_read_from_its_start(name: str) -> None:
    """A state that outlives its log knows what it was told before; any other starts afresh."""
    records = log_for(name)
    first = Reader(stage_of(name))
    first.read(records)
    first.save()
    reader = Reader(stage_of(name), 0, first.saved, log=OTHER_LOG)
    emitted = said(reader.read(records))
    assert reader.skipped == 0
    if not EVERY_STAGE[name].outlives_log:
        assert {key: len(parts) for key, parts in by_key(emitted).items()} == {
            key: len(parts) for key, parts in whole(name).items()
        }


@EACH
@pytest.mark.parametrize("value", [None, b"", b"\x00", b"\x00\x00\x00\x00\x01", b"not avro at all", bytes(200)])
def test_a_record_that_does_not_decode_is_a_letter_and_the_others_go_on(name: str, value: bytes | None) -> None:
    records = log_for(name)
    poisoned: list[KafkaRecord] = []
    for record in records:
        poisoned += [record, KafkaRecord(0, record.key, value)] if record.offset % 10 == 3 else [record]
    poisoned = [replace(record, offset=offset) for offset, record in enumerate(poisoned)]
    reader = Reader(stage_of(name))
    letters = reader.held.decode(poisoned).letters
    assert [letter.source_offset for letter in letters] == [
        record.offset for record in poisoned if record.value is value
    ]
    assert {letter.role for letter in letters} == {EVERY_STAGE[name].role}
    assert {key: len(parts) for key, parts in by_key(said(reader.read(poisoned))).items()} == {
        key: len(parts) for key, parts in whole(name).items()
    }


PARTITIONS = 6


@EACH
def test_a_record_outside_its_keys_partition_is_a_letter_and_the_others_go_on(name: str) -> None:
    records = log_for(name)
    homes = {record.offset: partition_of((record.key or b"").decode(), PARTITIONS) for record in records}
    for home in set(homes.values()):
        reader = Reader(stage_of(name), log=LOG._replace(partitions=PARTITIONS), partition=home)
        decoded = reader.held.decode(records)
        foreign = [offset for offset, found in homes.items() if found != home]
        assert [(letter.source_offset, letter.reason) for letter in decoded.letters] == [
            (offset, "ForeignRecord") for offset in foreign
        ]
        assert sorted(offset for run in decoded.runs for offset in run.offsets) == sorted(set(homes) - set(foreign))
    assert len(set(homes.values())) > 1


@pytest.mark.parametrize("name", [name for name, kind in EVERY_STAGE.items() if kind.reads == L2])
@pytest.mark.parametrize("epoch", [9_223_372_036_854, KafkaRecord.timestamp + 2 * MS_PER_DAY])
def test_an_epoch_far_ahead_is_a_letter_and_the_others_go_on(name: str, epoch: int) -> None:
    records = log_for(name)
    good = decode_as(L2Record, records[30].value or b"")
    poison = msgspec.structs.replace(good, epoch=epoch)
    spoilt = [replace(record, offset=record.offset + (record.offset >= 30)) for record in records]
    spoilt.insert(30, KafkaRecord(30, records[30].key, encode(poison)))
    reader = Reader(stage_of(name))
    [letter] = reader.held.decode(spoilt).letters
    assert (letter.source_offset, letter.reason) == (30, "ImpossibleRecord")
    assert {key: len(parts) for key, parts in by_key(said(reader.read(spoilt))).items()} == {
        key: len(parts) for key, parts in whole(name).items()
    }


class Mistaken:
    """A stage that fails on these offsets, halfway through the records it was given."""

    def __init__(self, stage: Stage[Any, Any], *offsets: int) -> None:
        self._stage = stage
        self._offsets = set(offsets)
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def step(self, state: Any, batch: Batch[Any]) -> Emitted:
        done = next((at for at, offset in enumerate(batch.offsets) if offset in self._offsets), None)
        if done is None:
            return self._stage.step(state, batch)
        self.failures += 1
        if done:
            self._stage.step(state, batch._replace(offsets=batch.offsets[:done], records=batch.records[:done]))
        raise KeyError("a mistake")


def read_to_the_end(reader: Reader, records: list[KafkaRecord], size: int) -> tuple[list[Said], list[int]]:
    """Read in batches, again from where it is asked; what is said, and the letters' offsets."""
    emitted: list[Emit] = []
    letters: list[int] = []
    at = 0
    while at < len(records):
        piece = records[at : at + size]
        decoded = reader.held.decode(piece)
        try:
            for run in decoded.runs:
                emitted += reader.held.process(run, 0.0).emitted.records
        except ReadAgain as again:
            at = again.offset
            continue
        letters += [letter.source_offset for letter in decoded.letters]
        at += len(piece)
        reader.held.offsets.advance(at)
    return said(emitted), letters


@EACH
@pytest.mark.parametrize("size", [1, 10, 200])
@pytest.mark.parametrize("bad", [[0], [17], [-1], [4, 5, 13]])
def test_a_record_whose_handling_fails_is_set_aside_and_the_others_are_as_without_it(
    name: str, size: int, bad: list[int]
) -> None:
    records = log_for(name)
    bad = [records[at].offset for at in bad]
    stage = Mistaken(stage_of(name), *bad)
    reader = Reader(stage)  # type: ignore[arg-type] # all else is the stage's
    emitted, letters = read_to_the_end(reader, records, size)

    assert letters == bad
    assert stage.failures >= len(bad)
    found = {key: list(dict.fromkeys(parts)) for key, parts in by_key(emitted).items()}
    assert found == made_of(name, [record for record in records if record.offset not in bad])
    assert reader.held.decode(records[bad[0] : bad[0] + 1]).letters == [], "it was told once"


@EACH
def test_a_stage_that_fails_on_everything_ends_the_worker(name: str) -> None:
    stage = Mistaken(stage_of(name), *range(1000))
    with pytest.raises(FatalError, match=f"{MAX_UNFORESEEN + 1} records"):
        read_to_the_end(Reader(stage), log_for(name), 10)  # type: ignore[arg-type] # all else is the stage's


@EACH
def test_while_a_failing_record_is_looked_for_no_checkpoint_of_its_key_is_due(name: str) -> None:
    records = log_for(name)
    stage = Mistaken(stage_of(name), 15)
    reader = Reader(stage)  # type: ignore[arg-type] # all else is the stage's
    key = stage.key(stage.decode([records[15].value])[0])
    with pytest.raises(ReadAgain):
        reader.read(records)

    assert key not in {due.key for due in reader.held.begin_checkpoints(100.0, everything=True)}
    assert reader.held.offsets.committable(None) == 0


@EACH
@given(data=st.binary(max_size=300), place=st.floats(0.0, 0.999))
def test_no_bytes_at_all_make_it_fail(name: str, data: bytes, place: float) -> None:
    good = log_for(name)[0].value or b""
    at = int(place * len(good))
    stage = stage_of(name)
    found = stage.decode([data, good[:at] + data, good[:at] + data + good[at + len(data) :]])
    assert len(found) == 3
    for record in found:
        assert isinstance(record, MessageError) or stage.key(record)


@EACH
def test_time_alone_changes_no_state_that_is_saved(name: str) -> None:
    stage, reader = stage_of(name), Reader(stage_of(name))
    reader.read(log_for(name))
    before = [stage.dump(state) for state in reader.held.states()]
    for now_s in range(60):
        assert all(emit.source_offset is None for one in reader.held.timers(float(now_s)) for emit in one.records)
    assert [stage.dump(state) for state in reader.held.states()] == before


@dataclass
class Cluster:
    """A partition with its log, its changelog, its group's offset, and workers that come and go."""

    stage: Stage[Any, Any]
    records: list[KafkaRecord]
    random: Random
    saved: dict[str, bytes] = field(default_factory=dict)
    committed: int = 0
    was_cut: bool = False
    written: list[Said] = field(default_factory=list)
    in_flight: list[Emit] = field(default_factory=list)
    old_checkpoints: list[tuple[str, bytes]] = field(default_factory=list)
    read_at: int = 0
    owner: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.take_over()

    def take_over(self) -> None:
        """The owner dies with all it had in flight, but for what the broker took; another one starts."""
        self.acknowledge(self.random.randint(0, len(self.in_flight)))
        self.in_flight.clear()
        self.read_at = self.committed
        start = 0 if self.committed else None
        whole = bool(self.saved) and not self.was_cut
        self.owner = Reader(self.stage, self.committed, self.saved, log_start=start, is_whole=whole)

    def acknowledge(self, count: int) -> None:
        self.written.extend(said(self.in_flight[:count]))
        del self.in_flight[:count]

    def process(self, count: int) -> None:
        """A batch, of which a rebalance may cut off the end."""
        records = self.records[self.read_at : self.read_at + count]
        if not records:
            return
        runs = self.owner.held.decode(records).runs
        stop_after = self.random.choice((len(runs), self.random.randint(0, len(runs))))
        for run in runs[:stop_after]:
            try:
                self.in_flight.extend(self.owner.held.process(run, 0.0).emitted.records)
            except ReadAgain as again:
                self.read_at = again.offset
                if isinstance(again, PromiseBroken):
                    self.committed = again.offset
                return
        if stop_after == len(runs):
            self.read_at = records[-1].offset + 1
            self.owner.held.offsets.advance(self.read_at)
        else:
            self.read_at = self.random.randint(min(self.committed, self.read_at), self.read_at)

    def save(self) -> None:
        """Results acknowledged, then checkpoints acknowledged while processing goes on, then the offset."""
        due = self.owner.held.begin_checkpoints(0, everything=True)
        self.acknowledge(len(self.in_flight))
        self.process(self.random.randint(0, 10))
        acknowledged = self.random.choice((len(due), len(due), self.random.randint(0, len(due))))
        for one in self.random.sample(due, acknowledged):
            self.saved[one.key] = one.payload
            self.old_checkpoints.append((one.key, one.payload))
            one.saved()
        self.owner.held.abandon_checkpoints()
        self.commit()

    def commit(self) -> None:
        held_back = [emit.source_offset for emit in self.in_flight if emit.source_offset is not None]
        self.committed = max(self.committed, self.owner.held.offsets.committable(min(held_back, default=None)))

    def zombie(self) -> None:
        """An owner of long ago still writes a checkpoint, after the new one, and the new one is compacted away.

        Only a stage whose records say what they follow can tell that such a state is too old.
        """
        if self.old_checkpoints and self._can_tell():
            key, payload = self.random.choice(self.old_checkpoints)
            self.saved[key] = payload
        self.take_over()

    def made_anew(self) -> None:
        """The changelog is deleted and made anew while no worker runs."""
        self.saved.clear()
        self.old_checkpoints.clear()
        self.was_cut = False
        self.take_over()

    def emptied(self) -> None:
        """The changelog loses all it has."""
        self.saved.clear()
        self.was_cut = True
        self.take_over()

    def cut(self) -> None:
        """The changelog loses some of what it has, at its start."""
        for key in self.random.sample(sorted(self.saved), self.random.randint(0, len(self.saved))):
            del self.saved[key]
        self.was_cut = True
        self.take_over()

    def _can_tell(self) -> bool:
        last = self.stage.decode([self.records[-1].value])[0]
        return not self.stage.connects(self.stage.fresh(self.stage.key(last)), last)

    def finish(self) -> Iterator[Said]:
        for _ in range(1000):
            if self.read_at >= len(self.records):
                break
            self.process(50)
        self.acknowledge(len(self.in_flight))
        return iter(self.written)


STEPS = ("process", "process", "process", "save", "save", "commit", "crash", "zombie", "emptied", "cut", "made_anew")


@EACH
@settings(max_examples=fourth_of(60))
@given(seed=st.integers(0, 10**6), steps=st.lists(st.sampled_from(STEPS), max_size=40))
def test_whatever_happens_to_workers_all_is_said_in_order_and_repeated_alike(
    name: str, seed: int, steps: list[str]
) -> None:
    random = Random(seed)
    cluster = Cluster(stage_of(name), log_for(name, seed % len(SEEDS)), random)
    for step in steps:
        if step == "process":
            cluster.process(random.randint(1, 25))
        elif step == "crash":
            cluster.take_over()
        else:
            getattr(cluster, step)()
    found = {key: list(dict.fromkeys(parts)) for key, parts in by_key(list(cluster.finish())).items()}
    assert found == {key: parts for key, parts in whole(name, seed % len(SEEDS)).items() if parts}


@LINE
def test_the_topics_it_names_are_the_declared_ones_to_the_last_field(name: str) -> None:
    for topic in (STAGES[name].reads, *STAGES[name].writes, STAGES[name].changelog):
        assert BY_NAME[topic.name] is topic
