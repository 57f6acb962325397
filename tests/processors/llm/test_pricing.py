"""Costs are an invoice's: exact decimals, and none where something is not known."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.pricing import Prices

TOKENS = st.integers(0, 2**31 - 1)


@given(TOKENS, TOKENS, st.decimals(0, 1000, places=4), st.decimals(0, 1000, places=4))
def test_a_cost_is_the_exact_one_rounded_once(
    tokens_in: int, tokens_out: int, price_in: object, price_out: object
) -> None:
    prices = Prices(float(str(price_in)), float(str(price_out)))
    exact = (Fraction(str(price_in)) * tokens_in + Fraction(str(price_out)) * tokens_out) / 10**6
    assert prices.cost_usd(tokens_in, tokens_out) == float(exact)


@pytest.mark.parametrize(
    ("prices", "tokens"),
    [
        (Prices(None, 1.0), (1, 1)),
        (Prices(1.0, None), (1, 1)),
        (Prices(1.0, 1.0), (None, 1)),
        (Prices(1.0, 1.0), (1, None)),
    ],
)
def test_what_is_not_known_costs_nothing_known(prices: Prices, tokens: tuple[int | None, int | None]) -> None:
    assert prices.cost_usd(*tokens) is None


def test_free_is_a_price() -> None:
    assert Prices(0.0, 0.0).cost_usd(600, 40) == 0.0
