from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderbook.grid import Grid
from schemas.errors import InvalidNumber
from schemas.messages import ContractKind

STEPS = st.sampled_from(["0.1", "0.10", "0.01", "0.00001", "0.5", "1", "25", "0.0000001"])
TICKS = st.integers(0, 10**12)


def test_a_price_is_the_float_its_decimal_text_is() -> None:
    grid = Grid.of("0.10", "0.001")
    assert grid.price(618002) == 61800.2
    assert 618002 * 0.1 != 61800.2, "the reason for the division"


@given(STEPS, TICKS)
def test_every_price_and_size_is_correctly_rounded(step: str, count: int) -> None:
    grid = Grid.of(step, step)
    assert grid.price(count) == float(Fraction(step) * count)
    assert grid.size(count) == float(Fraction(step) * count)


@given(STEPS, TICKS, TICKS)
def test_the_mid_is_correctly_rounded_and_between_its_prices(step: str, low: int, width: int) -> None:
    grid = Grid.of(step, "1")
    assert grid.mid(low, low + width) == float(Fraction(step) * (2 * low + width) / 2)
    assert grid.price(low) <= grid.mid(low, low + width) <= grid.price(low + width)


@given(STEPS, TICKS)
def test_texts_are_exact_plain_decimals_with_the_decimals_of_the_grid(step: str, count: int) -> None:
    grid = Grid.of(step, step)
    for text in (grid.price_text(count), grid.size_text(count)):
        assert Decimal(text) == Decimal(step) * count
        assert "E" not in text
        assert len(text.partition(".")[2]) == len(step.partition(".")[2])


def test_a_contract_value_turns_lots_into_base_units() -> None:
    grid = Grid.of("0.1", "1", "0.01", ContractKind.LINEAR)
    assert grid.size(250) == 2.5
    assert grid.base_size(600_000, 250) == 2.5
    assert grid.notional(600_000 * 250) == 60_000.0 * 2.5
    assert grid.size_text(250) == "250", "the venue's own unit"


def test_an_inverse_contract_is_worth_quote_units_its_base_size_depends_on_price() -> None:
    grid = Grid.of("0.5", "1", "100", ContractKind.INVERSE)
    assert grid.size(3) == 300.0
    assert grid.base_size(120_000, 3) == 300.0 / 60_000.0
    assert grid.notional(3) == 300.0
    assert grid.base_size(0, 3) == float("inf")


def test_grids_are_built_once() -> None:
    assert Grid.of("0.1", "0.001") is Grid.of("0.1", "0.001")
    assert Grid.of("0.1", "0.001") is not Grid.of("0.10", "0.001")


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.000", "-1", "+1", "1e3", "1E-400000000", "nan", "inf", ".5", "5.", " 1", "1 ", "١", "0x1", "1_0"],
)
def test_a_step_that_is_not_a_plain_decimal_above_zero_is_refused(text: str) -> None:
    for texts in ((text, "1", "1"), ("1", text, "1"), ("1", "1", text)):
        with pytest.raises(InvalidNumber):
            Grid.of(*texts)


def test_a_step_longer_than_any_real_one_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidNumber):
        Grid.of("1" * 21, "1")


def test_a_grid_knows_its_own_texts() -> None:
    grid = Grid.of("0.1", "0.001", "1", ContractKind.LINEAR)
    assert grid.matches("0.1", "0.001", "1", ContractKind.LINEAR)
    assert not grid.matches("0.10", "0.001", "1", ContractKind.LINEAR)
    assert not grid.matches("0.1", "0.001", "1", ContractKind.SPOT)
