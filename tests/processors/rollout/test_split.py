"""Which instruments come first."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.rollout.split import canary_of, share_of

PERCENTS = (0, 1, 5, 10, 50, 99, 100)


def names(count: int) -> list[str]:
    return [f"binance:SYM{number}" for number in range(count)]


def test_a_share_is_the_first_eight_bytes_of_a_hash_of_the_name() -> None:
    digest = hashlib.blake2b(b"salt|regimes|binance:BTCUSDT").digest()

    assert share_of("binance:BTCUSDT", "salt") == int.from_bytes(digest[:8], "big") / 2**64


@pytest.mark.parametrize("count", [2, 10, 1_000])
@given(salt=st.text(max_size=8))
def test_raising_the_percentage_only_adds_instruments(count: int, salt: str) -> None:
    before: list[str] = []
    for percent in PERCENTS:
        now = canary_of(names(count), percent, salt, before)
        assert set(before) <= set(now)
        before = now
    assert before == sorted(names(count))


@pytest.mark.parametrize(("count", "percent", "least", "most"), [(1_000, 5, 30, 75), (1_000, 50, 440, 560)])
def test_a_percentage_of_many_instruments_is_about_that_many(count: int, percent: int, least: int, most: int) -> None:
    assert least <= len(canary_of(names(count), percent, "s")) <= most


def test_a_percentage_of_few_instruments_is_the_one_with_the_least_share() -> None:
    few = [name for name in names(50) if share_of(name, "s") >= 0.05][:3]
    least = min(few, key=lambda one: share_of(one, "s"))

    assert canary_of(few, 5, "s") == [least]
    assert canary_of(few, 0, "s") == []
    assert canary_of([], 5, "s") == []


def test_another_salt_is_another_order() -> None:
    assert canary_of(names(100), 10, "a") != canary_of(names(100), 10, "b")
