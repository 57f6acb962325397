"""The identity of a log, and of a record in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.logs import LogId, Origin, Position, parse_origin

LOG = LogId("obflow.trades.v1", "_8Gbh6GZQnqLrPZ3Hh0d2A", 24)


@given(partition=st.integers(0, 2**16 - 1), offset=st.integers(0, 2**63 - 1))
def test_an_origin_is_read_back_from_its_text(partition: int, offset: int) -> None:
    origin = LOG.origin(partition, offset)
    assert parse_origin(LOG.topic, origin.text) == origin == Origin(LOG.topic, LOG.topic_id, partition, offset)


def test_rows_carry_the_first_characters_of_the_logs_id() -> None:
    assert LOG.short_id == "_8Gbh6GZ"
    assert LOG.origin(3, 17).position == Position("_8Gbh6GZ", 3, 17)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:1",
        "a:1:",
        ":1:2",
        "a:x:2",
        "a:1:-2",
        "a:1:2:3",
        "a:65536:1",
        f"a:1:{2**63}",
        "a:\u00b2:1",
        "a:1:" + "9" * 5_000,
    ],
)
def test_what_names_no_record_is_none(text: str) -> None:
    assert parse_origin("trades.v1", text) is None
