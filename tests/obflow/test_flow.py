"""A reader of a topic is well, late, stuck, alone or without partitions: judged from two looks, without a broker."""

from __future__ import annotations

import pytest

from obflow.clock_offsets import ClockLook, bounds_by_date_s, clock_finding
from obflow.findings import Check
from obflow.flow import GroupLook, LogFollower, flow_findings, is_late

READER = LogFollower("books workers", "group obflow-processor", "obflow process", 15.0)
ALL = frozenset(range(2))


def look(waiting: int = 0, age_s: float = 0.0, position: int = 100, **changed: object) -> GroupLook:
    """Partition 0 with so many records that wait; partition 1 is read to its end."""
    ages_s = {0: age_s} if waiting else {}
    found = GroupLook("l2.v1", {0: 0, 1: 0}, {0: position + waiting, 1: 7}, {0: position, 1: 7}, ages_s, [ALL])
    return found._replace(**changed)


def judged(before: GroupLook, after: GroupLook | None = None, reader: LogFollower = READER) -> list[Check]:
    return flow_findings(reader, before, after or before)


def test_what_waits_since_the_last_checkpoint_is_well_and_one_look_enough() -> None:
    assert not is_late(READER, look(40, 6.0))
    assert judged(look(40, 6.0)) == [Check("books workers", True, "1 member; 40 records wait, for 6 s at most")]


def test_a_position_that_does_not_move_is_not_well() -> None:
    assert is_late(READER, look(40, 20.0))
    [found] = judged(look(40, 20.0), look(40, 26.0))

    assert not found.ok
    assert found.detail == "group obflow-processor does not move: 40 records for 26 s in partition 0"
    assert found.remedy == "restart the worker"


def test_lag_that_grows_is_told_in_records_and_seconds_though_the_position_moves() -> None:
    [found] = judged(look(40, 20.0), look(90, 24.0, position=120))

    assert found.detail == "group obflow-processor falls behind: 90 records for 24 s in partition 0"
    assert "start another one" in found.remedy


def test_a_reader_that_catches_up_is_well() -> None:
    [found] = judged(look(900, 60.0), look(700, 50.0, position=400))

    assert found.ok


def test_a_group_without_members_is_named_with_what_waits_and_the_command() -> None:
    found = judged(look(40, 3.0, members=[]))

    detail = "group obflow-processor has no members, and records wait: 40 records for 3 s in partition 0"
    assert found == [Check("books workers", False, detail, "start `obflow process`")]


@pytest.mark.parametrize(("positions", "says"), [({0: 100, 1: 7}, "0 members"), ({}, "has never run")])
def test_a_group_without_members_is_well_where_nothing_waits_or_it_never_ran(
    positions: dict[int, int], says: str
) -> None:
    waiting = 0 if positions else 9
    [found] = judged(look(waiting, 99.0, members=[], positions=positions))

    assert found.ok
    assert says in found.detail


def test_a_worker_without_partitions_is_named_where_partitions_are_nobodys() -> None:
    [found] = judged(look(members=[frozenset(), frozenset()]))

    assert "2 of 2 members of group obflow-processor hold no partition of l2.v1, and 2 partitions" in found.detail
    assert found.remedy == "restart the worker"


def test_a_worker_in_reserve_is_well_and_so_is_one_while_the_group_shares_out() -> None:
    assert judged(look(members=[ALL, frozenset()]))[0] == Check(
        "books workers", True, "2 members, 1 in reserve; 0 records wait, for 0 s at most"
    )
    assert judged(look(members=[frozenset()], is_settled=False))[0].ok


def test_a_reader_that_is_no_group_is_started_where_it_stands_still() -> None:
    reader = LogFollower("rows of trades", "table trades", "obflow sink --table trades", 11.0)
    [found] = judged(look(5, 30.0, members=None), look(5, 33.0, members=None), reader)

    assert found.detail == "table trades does not move: 5 records for 33 s in partition 0"
    assert found.remedy == "start `obflow sink --table trades`"


def test_of_many_partitions_those_that_wait_longest_are_named() -> None:
    ends = dict.fromkeys(range(8), 10)
    late = GroupLook("l2.v1", dict.fromkeys(range(8), 0), ends, {}, {part: 20.0 + part for part in range(8)}, [ALL])
    [found] = judged(late)

    assert "27 s in partition 7, 10 records for 26 s in partition 6" in found.detail
    assert found.detail.endswith("and 5 more")


def test_records_that_are_gone_before_they_were_read_are_named_from_and_to() -> None:
    [found] = judged(look(starts={0: 130, 1: 7}, ends={0: 130, 1: 7}))

    assert found.detail == (
        "l2.v1 has lost records that group obflow-processor had not read: 100 to 129 of partition 0"
    )
    assert judged(look(positions={0: 0}, starts={0: 130, 1: 7}, ends={0: 130, 1: 7}))[0].ok, "nothing was read of it"


def test_a_log_that_ends_before_what_was_read_of_it_is_named() -> None:
    [found] = judged(look(ends={0: 3, 1: 7}))

    assert found.detail == "l2.v1 ends before what group obflow-processor has read of it: partition 0 at 3"
    assert "kafka.topic_prefix" in found.remedy


@pytest.mark.parametrize(
    ("theirs_s", "says"),
    [
        (100.0, None),
        (100.9, None),
        (98.5, None),
        (102.6, "the clock of ClickHouse is 1.6 s ahead of ours"),
        (97.5, "the clock of ClickHouse is 1.5 s behind ours"),
    ],
)
def test_a_clock_is_off_where_no_answer_under_way_explains_it(theirs_s: float, says: str | None) -> None:
    """Asked at 99, heard at 101: whatever lies between may be right."""
    found = clock_finding("store clock", ClockLook("ClickHouse", theirs_s, 99.0, 101.0))

    assert (found.ok, found.remedy == "") == (says is None, says is None)
    assert says is None or found.detail == says


@pytest.mark.parametrize("ahead_s", [-7.0, 0.0, 0.4, 3600.0])
@pytest.mark.parametrize("wait_s", [0.0, 0.3])
def test_a_date_cut_to_the_second_tells_an_offset_to_a_second_and_the_wait(ahead_s: float, wait_s: float) -> None:
    for tenth in range(10):
        asked_s = 1_700_000_000 + tenth / 10
        said_s = float(int(asked_s + wait_s / 2 + ahead_s))
        low_s, high_s = bounds_by_date_s(said_s, asked_s, asked_s + wait_s)
        assert low_s - 1e-6 <= ahead_s <= high_s + 1e-6
        assert high_s - low_s == pytest.approx(1.0 + wait_s)
