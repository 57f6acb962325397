"""What every line of ENGINES holds to: the reference's bits, whatever the splits, and checkpoints that others read."""

from __future__ import annotations

import os
from functools import cache
from itertools import cycle, pairwise, permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import processors.factors
from processors.factors import ENGINES, engine_named
from processors.factors.conversion import readable_by
from processors.factors.engine import Engine, FactorColumns
from processors.factors.reference.engine import ReferenceEngine
from processors.worker.changelog import Checkpoint
from schemas.codec import decode_as, encode
from schemas.digest import digest
from schemas.errors import DecodeError, MessageError, UsageError
from schemas.messages import FactorEvent, FactorRecord, L2Record
from tests.processors.compare import VENUES
from tests.processors.engines import COUNTED, CountingEngine
from tests.processors.feed import THIN_NOTIONAL
from tests.processors.generated import stream
from tests.processors.recorded import path_of, read_records
from tests.processors.staged import Reader, book_log, stage_of, told

ALL: dict[str, type[Engine[Any, Any]]] = {**ENGINES, CountingEngine.name: CountingEngine}
EACH = pytest.mark.parametrize("name", ENGINES)
REFERENCE = ReferenceEngine(THIN_NOTIONAL)
RECORDS = None if os.environ.get("OBFLOW_FUZZ") == "all" else 2_000
"""How many of a recording are restored: all with `make fuzz`."""


def stepped(engine: Engine[Any, Any], records: list[L2Record], cuts: list[int], *, restore: bool) -> list[FactorEvent]:
    """The events of records that are cut into steps, with a checkpoint saved and read at every cut if asked."""
    state, events = engine.fresh(), list[FactorEvent]()
    for start, end in pairwise(sorted({0, len(records), *(cut % len(records) for cut in cuts)})):
        events += engine.step(state, range(start, end), engine.rows(records[start:end])).events()
        state = engine.load(engine.dump(state)) if restore else state
    return events


@EACH
def test_a_line_is_the_engine_of_that_name_in_the_folder_of_that_name(name: str) -> None:
    assert ENGINES[name].name == name
    assert ENGINES[name].__module__.startswith(f"processors.factors.{name}.")
    folder = Path(processors.factors.__file__).parent
    assert {path.name for path in folder.iterdir() if (path / "__init__.py").exists()} == set(ENGINES)


def test_each_engine_writes_a_layout_of_its_own() -> None:
    layouts = [engine.layout for engine in ALL.values()]
    assert len(set(layouts)) == len(layouts)
    assert all(0 < layout < 256 for layout in layouts)


def test_a_name_that_is_misspelt_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean reference"):
        engine_named("referense")
    with pytest.raises(UsageError, match="there are"):
        engine_named("quantum")


@EACH
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 1_000), max_size=12), restore=st.booleans())
def test_any_split_gives_the_reference_s_bits(name: str, seed: int, cuts: list[int], restore: bool) -> None:
    records = stream(seed)
    found = stepped(ENGINES[name](THIN_NOTIONAL), records, cuts, restore=restore)
    assert digest(found) == digest(stepped(REFERENCE, records, [], restore=False))


@EACH
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 1_000), max_size=12))
def test_any_split_says_what_the_reference_says_beside_its_events(name: str, seed: int, cuts: list[int]) -> None:
    def beside(engine: Engine[Any, Any]) -> list[object]:
        state, said = engine.fresh(), list[object]()
        for start, end in pairwise(sorted({0, len(records), *(cut % len(records) for cut in cuts)})):
            rows = engine.rows(records[start:end])
            said.append(engine.judge(state, rows[0]))
            columns = engine.step(state, range(start, end), rows)
            said += [columns.outcomes, columns.resync, state.validity, state.epoch]
        return said

    records = stream(seed)
    assert beside(ENGINES[name](THIN_NOTIONAL)) == beside(REFERENCE)


@EACH
def test_what_it_decodes_is_what_it_takes_unencoded(name: str) -> None:
    engine, records = ENGINES[name](THIN_NOTIONAL), stream(3)
    rows = engine.decode([encode(record) for record in records])
    assert not any(isinstance(row, MessageError) for row in rows)
    decoded = engine.step(engine.fresh(), range(len(records)), rows)
    taken = engine.step(engine.fresh(), range(len(records)), engine.rows(records))
    assert decoded.events() == taken.events()
    assert [(row.venue, row.symbol, row.source) for row in rows] == [(r.venue, r.symbol, r.source) for r in records]


@EACH
def test_its_columns_encode_to_the_record_they_say(name: str) -> None:
    engine, records = ENGINES[name](THIN_NOTIONAL), stream(3)
    columns: FactorColumns = engine.step(engine.fresh(), range(len(records)), engine.rows(records))
    record = decode_as(FactorRecord, columns.encoded(records[0], "abcdefgh", 5))
    assert (record.instrument, record.source) == (records[0].instrument, records[0].source)
    assert (record.source_log, record.source_partition, record.events) == ("abcdefgh", 5, columns.events())


@EACH
@pytest.mark.parametrize("value", [None, b"", b"not avro at all", encode(stream(1)[0])[:-1]])
def test_a_value_that_does_not_decode_stops_no_other(name: str, value: bytes | None) -> None:
    good = encode(stream(1)[0])
    first, bad, last = ENGINES[name](THIN_NOTIONAL).decode([good, value, good])
    assert isinstance(bad, MessageError)
    assert not isinstance(first, MessageError)
    assert not isinstance(last, MessageError)


@EACH
@given(data=st.binary(max_size=300))
def test_no_bytes_make_its_load_fail_but_with_a_decode_error(name: str, data: bytes) -> None:
    engine = ENGINES[name](THIN_NOTIONAL)
    try:
        state = engine.load(data)
    except DecodeError:
        return
    assert engine.dump(state)


@EACH
@pytest.mark.recorded
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("venue", VENUES)
def test_a_recording_restored_at_many_cuts_gives_the_references_digest(name: str, venue: str, recordings: Path) -> None:
    records, expected = recorded(path_of(recordings, venue), venue)
    cuts = list(range(0, len(records), 97))
    assert digest(stepped(ENGINES[name](THIN_NOTIONAL), records, cuts, restore=True)) == expected


@cache
def recorded(path: Path, venue: str) -> tuple[list[L2Record], str]:
    """The records of a recording, and the digest that the reference has of them in one go."""
    records = list(read_records(path, venue))[:RECORDS]
    return records, digest(stepped(REFERENCE, records, [], restore=False))


@pytest.fixture
def with_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, CountingEngine.name, CountingEngine)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 1_000), min_size=1, max_size=12))
def test_engines_that_take_turns_give_the_references_bits(seed: int, cuts: list[int]) -> None:
    records, events = stream(seed), list[FactorEvent]()
    turns = cycle([engine(THIN_NOTIONAL) for engine in ENGINES.values()])
    engine = next(turns)
    state = engine.fresh()
    for start, end in pairwise(sorted({0, len(records), *(cut % len(records) for cut in cuts)})):
        events += engine.step(state, range(start, end), engine.rows(records[start:end])).events()
        saved, layout, engine = engine.dump(state), engine.layout, next(turns)
        state = engine.load(readable_by(type(engine), ENGINES)[layout](saved))
    assert digest(events) == digest(stepped(REFERENCE, records, [], restore=False))


@pytest.mark.parametrize(("written", "read"), list(permutations(ENGINES, 2)))
def test_a_stage_goes_on_from_the_checkpoints_of_another_engine(written: str, read: str) -> None:
    records = book_log(22, 1, 60)
    first = Reader(stage_of("books", engine=written))
    first.read(records[:40])
    first.save()

    heir, same = (Reader(stage_of("books", engine=engine), 40, first.saved) for engine in (read, written))
    assert [told(emit) for emit in heir.read(records[40:])] == [told(emit) for emit in same.read(records[40:])]
    assert heir.unreadable == []


@pytest.mark.parametrize(("written", "read"), list(permutations(ENGINES, 2)))
@given(data=st.binary(max_size=300))
def test_no_bytes_are_converted_but_with_a_decode_error_or_into_a_state(written: str, read: str, data: bytes) -> None:
    try:
        converted = ENGINES[read].imported(ENGINES[written].exported(data))
    except DecodeError:
        return
    assert ENGINES[read](THIN_NOTIONAL).load(converted)


@pytest.mark.usefixtures("with_counting")
@pytest.mark.parametrize(("written", "read"), [pair for pair in permutations(ALL, 2) if CountingEngine.name in pair])
def test_a_checkpoint_that_cannot_be_converted_is_refused_and_its_books_start_afresh(written: str, read: str) -> None:
    records = book_log(21, 2, 120)
    first = Reader(stage_of("books", engine=written))
    first.read(records[:80])
    first.save()

    heir, fresh = (Reader(stage_of("books", engine=read), 80, saved) for saved in (first.saved, {}))
    assert [told(emit) for emit in heir.read(records[80:])] == [told(emit) for emit in fresh.read(records[80:])]
    assert sorted(heir.unreadable) == sorted(first.saved)
    assert {Checkpoint.from_bytes(data).state[0] for data in first.saved.values()} == {ALL[written].layout}


@pytest.mark.usefixtures("with_counting")
def test_a_second_engine_runs_as_a_stage_by_name_and_continues_from_its_checkpoints() -> None:
    records = book_log(22, 1, 60)
    first = Reader(stage_of("books", engine="counting"))
    first.read(records[:40])
    first.save()
    heir = Reader(stage_of("books", engine="counting"), 40, first.saved)
    counted = [
        event.values[COUNTED]
        for emit in [*first.sent, *heir.read(records[40:])]
        for event in decode_as(FactorRecord, emit.value).events
    ]
    assert counted == [float(number) for number in range(1, 61)]
