"""How far a table has come, from its rows and from what was read without giving any."""

from __future__ import annotations

from sinks.flow import positions_of
from sinks.reader import Log

LOG = Log("trades.v1", "OqQGnAVAQsuTXmL131QzrQ", {0: 0, 1: 0, 2: 0}, {0: 9, 1: 9, 2: 9})


def test_a_table_is_as_far_as_its_last_row_or_as_what_was_read_behind_it() -> None:
    stored = {(LOG.name, 0): 4, (LOG.name, 1): 4, ("another0", 2): 8}

    assert positions_of(LOG, stored, {("trades.v1", 1): 7}) == {0: 5, 1: 7, 2: 0}
