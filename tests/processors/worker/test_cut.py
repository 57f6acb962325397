"""Batches of one partition: no hole, nothing stale, whatever a rebalance does to the fetches."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.worker.cut import PartitionReader, SourceBatch


class Record(NamedTuple):
    offset: int


def records(first: int, last: int) -> list[Record]:
    return [Record(offset) for offset in range(first, last)]


def spans(batches: list[SourceBatch]) -> list[tuple[int, int]]:
    return [(batch.start, batch.end) for batch in batches]


@pytest.fixture
def reader() -> PartitionReader:
    reader = PartitionReader(itertools.count(1))
    reader.sought(100)
    return reader


def test_a_poll_is_cut_into_batches_that_continue_each_other(reader: PartitionReader) -> None:
    batches = reader.cut(3, records(100, 112), 5)

    assert spans(batches) == [(100, 105), (105, 110), (110, 112)]
    assert [len(batch.records) for batch in batches] == [5, 5, 2]
    assert {batch.partition for batch in batches} == {3}


def test_records_before_the_expected_offset_are_left_out(reader: PartitionReader) -> None:
    reader.cut(0, records(100, 110), 50)

    assert spans(reader.cut(0, records(105, 115), 50)) == [(110, 115)]
    assert reader.cut(0, records(100, 115), 50) == []


def test_a_hole_is_sought_back_and_nothing_comes_of_it(reader: PartitionReader) -> None:
    assert reader.cut(0, records(101, 120), 50) == []
    assert reader.wanted == 100


def test_nothing_is_cut_until_the_seek_is_done(reader: PartitionReader) -> None:
    reader.want(50)

    assert reader.cut(0, records(100, 120), 50) == []


def test_a_hole_that_is_there_again_after_seeking_is_one_of_the_log(reader: PartitionReader) -> None:
    reader.cut(0, records(130, 140), 50)
    reader.sought(100)
    batches = reader.cut(0, records(130, 140), 50)

    assert spans(batches) == [(100, 140)]
    assert batches[0].records[0].offset == 130


def test_two_different_holes_are_both_sought_back(reader: PartitionReader) -> None:
    reader.cut(0, records(130, 140), 50)
    reader.sought(100)

    assert reader.cut(0, records(150, 160), 50) == []
    assert reader.wanted == 100


def test_a_seek_makes_earlier_batches_stale(reader: PartitionReader) -> None:
    before = reader.cut(0, records(100, 110), 50)[0]
    reader.want(90)
    assert before.seek != reader.seek
    between = reader.seek
    reader.sought(90)

    assert between != reader.seek
    assert reader.cut(0, records(90, 95), 50)[0].seek == reader.seek


def test_seek_numbers_are_never_given_twice_even_by_a_new_reader() -> None:
    seeks = itertools.count(1)
    numbers = []
    for _ in range(3):
        reader = PartitionReader(seeks)
        numbers.append(reader.seek)
        reader.sought(0)
        numbers.append(reader.seek)

    assert len(set(numbers)) == len(numbers)


@given(
    holes=st.sets(st.integers(0, 59), max_size=20),
    steps=st.lists(st.tuples(st.sampled_from(["fetch", "lose", "jump", "deliver", "again"]), st.integers(1, 9))),
)
def test_every_record_is_seen_in_order_whatever_fetches_are_lost(holes: set[int], steps: list[tuple[str, int]]) -> None:
    """A reader of a log with holes, whose fetcher loses and misplaces what it fetched, still sees every record."""
    log = [Record(offset) for offset in range(60) if offset not in holes]
    reader = PartitionReader(itertools.count(1))
    reader.sought(0)
    fetch_at = 0
    queue: list[SourceBatch] = []
    position = 0
    seen: list[int] = []

    def poll(count: int) -> list[SourceBatch]:
        nonlocal fetch_at
        if reader.wanted is not None:
            fetch_at = reader.wanted
            reader.sought(fetch_at)
        fetched = [record for record in log if record.offset >= fetch_at][:count]
        fetch_at = fetched[-1].offset + 1 if fetched else fetch_at
        return reader.cut(0, fetched, 4) if fetched else []  # type: ignore[arg-type] # a poll without records is none

    def deliver() -> None:
        nonlocal position
        while queue:
            batch = queue.pop(0)
            if batch.seek != reader.seek:
                continue
            if batch.start > position:
                reader.want(position)
                continue
            seen.extend(record.offset for record in batch.records if record.offset >= position)
            position = max(position, batch.end)

    for step, count in steps:
        if step == "fetch":
            queue.extend(poll(count))
        elif step == "lose":
            poll(count)
        elif step == "jump":
            fetch_at += count
        elif step == "again":
            reader.want(max(0, position - count))
        else:
            deliver()
    log.append(Record(60))  # the stream goes on: a batch lost at the end is noticed by the one after it
    for _ in range(400):
        queue.extend(poll(7))
        deliver()

    assert seen == [record.offset for record in log]
