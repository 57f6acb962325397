"""What expired unread is counted once, however it is known."""

from __future__ import annotations

import pytest

from research.retention import length, told, unread


@pytest.mark.parametrize(
    ("starts", "read", "noted", "missed"),
    [
        ({0: 0, 1: 0}, {0: 5}, {}, {}),
        ({0: 9}, {0: 9}, {}, {}),
        ({0: 9}, {0: 4}, {}, {0: [(4, 9)]}),
        ({0: 9, 1: 7}, {0: 9}, {}, {1: [(0, 7)]}),  # nobody came to partition 1, though the log was read
        ({0: 9}, {}, {}, {}),  # nobody ever read this log: what is gone was never owed
        ({0: 9}, {0: 4}, {0: [(4, 9)]}, {0: [(4, 9)]}),
        ({0: 12}, {0: 4}, {0: [(4, 9)]}, {0: [(4, 12)]}),
        ({0: 12}, {0: 12}, {0: [(1, 3), (4, 9)], 2: [(0, 1)]}, {0: [(1, 3), (4, 9)], 2: [(0, 1)]}),
    ],
)
def test_what_was_written_down_and_what_is_missed_now_are_one_count(
    starts: dict[int, int],
    read: dict[int, int],
    noted: dict[int, list[tuple[int, int]]],
    missed: dict[int, list[tuple[int, int]]],
) -> None:
    assert unread(starts, read, noted) == missed


def test_a_few_stretches_are_named() -> None:
    many = {3: [(0, 2), (4, 5)], 5: [(7, 9), (10, 11), (12, 13)]}

    assert length(many) == 7
    assert told(many) == "partition 3 from 0 to 1, partition 3 from 4 to 4, partition 5 from 7 to 8 and 2 more"
