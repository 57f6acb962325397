"""A replay is the same to the bit, or it is an alarm."""

from schemas.logs import Position
from sinks.contract import Row
from sinks.recheck import compare, row_digest
from sinks.tables import TABLES
from tests.sinks.records import factors

FACTORS = TABLES["factors"]
FIRST_FACTOR = 8


def rows(*offsets: int) -> list[Row]:
    return FACTORS.rows(factors("X", list(offsets)), Position("a", 0, 0))


def test_equal_rows_are_equal_and_missing_ones_unchecked() -> None:
    one, two = rows(1, 2)

    assert compare(FACTORS, [one, two], {1: one}) == (1, [], 1)


def test_a_value_that_differs_in_its_last_bit_is_found() -> None:
    [one] = rows(1)
    other = (*one[:FIRST_FACTOR], 0.1 + 0.2, *one[FIRST_FACTOR + 1 :])
    first = (*one[:FIRST_FACTOR], 0.3, *one[FIRST_FACTOR + 1 :])

    assert compare(FACTORS, [first], {1: other}) == (0, [1], 0)


def test_null_zero_and_minus_zero_are_three_things() -> None:
    assert len({row_digest((value,)) for value in (None, 0.0, -0.0)}) == 3
