"""Costs are an invoice's: exact decimals, and none where something is not known."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.pricing import Prices, TokenUse

TOKENS = st.integers(0, 2**31 - 1)


@given(TOKENS, TOKENS, st.decimals(0, 1000, places=4), st.decimals(0, 1000, places=4))
def test_a_cost_is_the_exact_one_rounded_once(
    tokens_in: int, tokens_out: int, price_in: object, price_out: object
) -> None:
    prices = Prices(float(str(price_in)), float(str(price_out)))
    exact = (Fraction(str(price_in)) * tokens_in + Fraction(str(price_out)) * tokens_out) / 10**6
    assert prices.cost_usd(TokenUse(tokens_in, tokens_out)) == float(exact)
    assert prices.cost_usd(TokenUse(tokens_in, tokens_out, cached=tokens_in // 3, reasoning=tokens_out)) == float(exact)


def test_cached_input_has_its_own_price_and_thoughts_are_part_of_the_output() -> None:
    """By hand: (612 − 512) · 0.15 + 512 · 0.075 + 41 · 0.60 = 15 + 38.4 + 24.6 = 78 millionths."""
    assert Prices(0.15, 0.60, 0.075).cost_usd(TokenUse(612, 41, cached=512, reasoning=40)) == 78e-6


@given(TOKENS, TOKENS, st.none() | st.floats(0, 100), st.integers(0, 100))
def test_no_usage_costs_more_than_as_many_tokens_at_most(
    tokens_in: int, tokens_out: int, cached_usd: float | None, share: int
) -> None:
    prices = Prices(0.15, 0.60, cached_usd)
    cost = prices.cost(TokenUse(tokens_in, tokens_out, cached=tokens_in * share // 100))
    assert cost is not None
    assert cost <= prices.most_usd(tokens_in, tokens_out)


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
    assert prices.cost_usd(TokenUse(*tokens)) is None


def test_free_is_a_price() -> None:
    assert Prices(0.0, 0.0).cost_usd(TokenUse(600, 40)) == 0.0
