"""Registry = list = functions: what a new factor must bring."""

from math import isfinite

import pytest

from processors.factors.reference import COMPUTE, OF_ANY_BOOK, OF_OPEN_BOOK
from schemas.factors import FACTOR_NAMES, FACTORS, Factor
from tests.processors.feed import process
from tests.processors.generated import slow_stream, stream


def test_every_listed_factor_is_computed_and_none_else() -> None:
    assert set(COMPUTE) == set(FACTOR_NAMES)
    assert len(COMPUTE) == len(OF_ANY_BOOK) + len(OF_OPEN_BOOK) == len(FACTORS)


@pytest.mark.parametrize("name", FACTOR_NAMES)
def test_a_factors_function_has_its_name_and_says_what_it_is(name: str) -> None:
    function = COMPUTE[name]
    assert function.__name__ == name
    assert function.__doc__
    assert function.__module__.startswith("processors.factors.")


@pytest.fixture(scope="module")
def columns() -> dict[str, list[float]]:
    """Every value of every factor over generated streams."""
    found: dict[str, list[float]] = {name: [] for name in FACTOR_NAMES}
    streams = [stream(seed) for seed in range(40)] + [slow_stream(seed) for seed in range(20)]
    for records in streams:
        for values in process(records).values:
            for name, value in zip(FACTOR_NAMES, values, strict=True):
                if value is not None:
                    found[name].append(value)
    return found


@pytest.mark.parametrize("factor", FACTORS, ids=lambda factor: factor.name)
def test_a_factor_has_values_and_all_of_them_are_finite_and_in_its_range(
    factor: Factor, columns: dict[str, list[float]]
) -> None:
    values = columns[factor.name]
    assert len(values) > 500
    assert all(isfinite(value) for value in values)
    assert factor.low is None or min(values) >= factor.low
    assert factor.high is None or max(values) <= factor.high
