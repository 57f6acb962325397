"""Decimal text onto the grid, against `decimal.Decimal` as the oracle."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderbook.decimals import (
    FARTHEST_DIGITS,
    HEADROOM,
    INT64_MAX,
    FinestGrid,
    SideLevels,
    Steps,
    TextGrid,
    decimals,
    plain,
    power_of_ten,
)
from schemas.errors import InvalidNumber

STEPS = st.sampled_from(["1", "5", "0.1", "0.10", "0.5", "0.25", "0.01", "0.00000001", "0.003", "10"])
PLAIN = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,10})?", fullmatch=True)


@given(STEPS, PLAIN)
def test_a_decimal_becomes_exactly_as_many_steps_as_decimal_arithmetic_says(step: str, text: str) -> None:
    whole = Decimal(text) / Decimal(step)

    exact = whole == whole.to_integral_value() and int(whole) * Decimal(step) == Decimal(text)

    if exact and int(whole) > INT64_MAX:
        with pytest.raises(InvalidNumber):
            Steps(step).count(text)
    else:
        assert Steps(step).count(text) == (int(whole) if exact else None)


@given(STEPS, PLAIN)
def test_asking_again_gives_the_same_answer(step: str, text: str) -> None:
    steps = Steps(step)
    try:
        first = steps.count(text)
    except InvalidNumber:
        return
    assert steps.count(text) == first


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 ", " 1", "1\n", "+1", "-1", "-0", "-0.0", "1e3", "1E-3", "0x10", "1_000", "1,5", ".5", "5.",
        "1.2.3", "NaN", "nan", "inf", "-inf", "Infinity", "None", "²", "١", "1٫5", "9" * 41, "12345678901234567890",
        "9223372036854775808", "922337203685477580.8",
    ],
)  # fmt: skip
def test_what_is_no_plain_decimal_within_int64_is_refused(text: str) -> None:
    with pytest.raises(InvalidNumber):
        Steps("0.1").count(text)


def test_the_largest_int64_is_still_a_number() -> None:
    assert Steps("1").count("9223372036854775807") == INT64_MAX
    assert Steps("0.1").count("922337203685477580.7") == INT64_MAX


def test_padding_zeros_change_nothing() -> None:
    assert Steps("0.10").count("61800.20000000") == Steps("0.1").count("61800.2") == 618002
    assert Steps("0.1").count("000.0") == 0


def test_a_number_between_two_steps_is_finer_than_the_grid_not_an_error() -> None:
    assert Steps("0.1").count("1.05") is None
    assert Steps("0.5").count("1.3") is None
    assert Steps("5").count("7") is None


@pytest.mark.parametrize("step", ["0", "0.00", "-1", "1e-8", ""])
def test_a_step_that_is_no_positive_decimal_is_no_grid(step: str) -> None:
    with pytest.raises(InvalidNumber):
        Steps(step)


def test_the_memory_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderbook.decimals.CACHED_TEXTS", 4)
    steps = Steps("1")

    assert [steps.count(str(number)) for number in range(20)] == list(range(20))
    assert len(steps.known) <= 4


def test_levels_are_whole_or_not_at_all_and_a_bad_one_after_a_fine_one_is_refused() -> None:
    grid = TextGrid.of("0.1", "0.001")

    assert grid.levels([("1.5", "0.001"), ("2.0", "0")]) == SideLevels([15, 20], [1, 0])
    assert grid.levels([("1.55", "1")]) is None
    assert grid.levels([("1.5", "0.0001")]) is None
    with pytest.raises(InvalidNumber):
        grid.levels([("1.55", "1"), ("NaN", "1")])
    with pytest.raises(InvalidNumber):
        grid.levels([("1.55", "1"), ("1", "-1")])


@given(STEPS, st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=5), st.integers(0, 10_000))
def test_a_refined_grid_holds_the_new_levels_and_everything_on_the_old_grid(
    step: str, levels: list[tuple[str, str]], ticks: int
) -> None:
    grid = TextGrid.of(step, step)
    try:
        finer = grid.refined(levels)
        placed = finer.levels(levels)
    except InvalidNumber:
        return  # beyond int64 on either grid
    scale = grid.scale_to(finer)

    assert placed is not None
    assert [Decimal(finer.price.step) * tick for tick in placed.ticks] == [Decimal(price) for price, _ in levels]
    moved = scale.levels(SideLevels([ticks], [ticks]))
    assert Decimal(finer.price.step) * moved.ticks[0] == Decimal(grid.price.step) * ticks
    assert Decimal(finer.size.step) * moved.lots[0] == Decimal(grid.size.step) * ticks


def test_a_grid_is_refined_only_where_it_must_be() -> None:
    finer = TextGrid.of("0.5", "0.001").refined([("1.3", "0.5")])

    assert (finer.price.step, finer.size.step) == ("0.1", "0.001")


def test_scaling_beyond_int64_is_refused_of_either_sign() -> None:
    scale = TextGrid.of("1", "1").scale_to(TextGrid.of("0.001", "0.001"))
    for lots in (INT64_MAX // 10, -(INT64_MAX // 10)):
        with pytest.raises(InvalidNumber):
            scale.levels(SideLevels([1], [lots]))


def finest_grid(levels: list[tuple[str, str]]) -> tuple[str, str]:
    """Tick and lot size of the finest power-of-ten grid that these prices and sizes need."""
    grid = FinestGrid()
    grid.add(levels)
    return grid.tick_size, grid.lot_size


def test_the_finest_grid_counts_decimals_without_trailing_zeros() -> None:
    assert finest_grid([("61737.63000000", "0.00000000"), ("1.1", "0.00100")]) == ("0.01", "0.001")
    assert finest_grid([("100", "5.000")]) == ("1", "1")


def test_the_finest_grid_passes_over_what_is_no_number_and_what_no_grid_can_follow() -> None:
    grid = FinestGrid()
    grid.add([("NaN", "-1"), ("1e-9", "0.1"), ("0." + "0" * 15 + "1", "1")])

    assert (grid.tick_size, grid.lot_size) == ("1", "0.1")


REAL = [(f"618{number % 100:02}.{number % 10}", f"0.{number % 1000:03}") for number in range(1, 2_000)]


@pytest.mark.parametrize(
    "absurd",
    [
        ("61800.00000000000001", "1"),
        ("61800.000000000001", "1"),
        ("99999999999999.9", "1"),
        ("1", "0.00000000000000000001"),
        ("1", "9" * 19),
    ],
)
def test_one_absurd_level_does_not_set_the_grid_of_a_recording(absurd: tuple[str, str]) -> None:
    for place in (0, 1_000, len(REAL)):
        assert finest_grid([*REAL[:place], absurd, *REAL[place:]]) == ("0.1", "0.001")


@given(st.lists(st.tuples(PLAIN, PLAIN), max_size=19))
def test_a_few_trades_never_set_the_grid_of_a_recording(trades: list[tuple[str, str]]) -> None:
    grid = FinestGrid()
    grid.add(REAL)
    for price, size in [*REAL, *trades]:
        grid.add_trade(price, size)

    assert (grid.tick_size, grid.lot_size) == ("0.1", "0.001")


@given(st.lists(st.tuples(PLAIN, PLAIN), max_size=40), st.lists(st.tuples(PLAIN, PLAIN), max_size=40))
def test_levels_that_a_common_grid_holds_with_room_lie_on_the_scanned_one(
    levels: list[tuple[str, str]], trades: list[tuple[str, str]]
) -> None:
    grid = FinestGrid()
    grid.add(levels)
    for trade in trades:
        grid.add_trade(*trade)
    numbers = [Decimal(price) for price, _ in levels]
    places = max((max(0, -number.normalize().as_tuple().exponent) for number in numbers), default=0)  # type: ignore[operator]

    if max(numbers, default=Decimal(0)) * 10**places < 10**FARTHEST_DIGITS:
        assert all(Steps(grid.tick_size).count(price) is not None for price, _ in levels)
    assert 0 <= decimals(grid.tick_size) <= FARTHEST_DIGITS


def test_numbers_of_so_many_digits_leave_the_headroom_that_is_promised() -> None:
    assert (10**FARTHEST_DIGITS - 1) * HEADROOM <= INT64_MAX


def test_a_finest_grid_can_include_another() -> None:
    grid, other = FinestGrid(), FinestGrid()
    grid.add([("0.5", "1")])
    other.add([("1", "0.25")])
    grid.include(other)

    assert (grid.tick_size, grid.lot_size) == ("0.1", "0.01")


@pytest.mark.parametrize(("text", "expected"), [("0.10", "0.1"), ("5.000", "5"), ("007.5", "7.5"), ("0", "0")])
def test_plain_text_has_no_padding(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_power_of_ten_is_written_out() -> None:
    assert [power_of_ten(places) for places in (0, 1, 8)] == ["1", "0.1", "0.00000001"]
