"""Prices over time: the row in force when a request leaves, one's own over what is known of a provider."""

from __future__ import annotations

import socket

import pytest
from genai_prices import data_snapshot

from processors.derived.fees import date_ns
from processors.llm.beside import prices_of
from processors.llm.bundled_prices import bundled_prices
from processors.llm.price_table import PriceRow, PriceTable, read_prices
from processors.llm.pricing import NO_PRICES, Prices, TokenUse
from schemas.errors import UsageError

OPENAI, RELAY = "https://api.openai.com/v1", "https://relay.example/v1"
TABLE = "m 2026-01-01 0.15 0.075 0.60; other 2026-01-01 9 9 9; m 2026-03-01 0.10 - 0.40;"
UNSET = Prices(None, None)
MARCH_NS = date_ns("2026-03-01")


@pytest.mark.parametrize(
    ("at_ns", "prices"),
    [
        (date_ns("2026-01-01") - 1, NO_PRICES),
        (date_ns("2026-01-01"), Prices(0.15, 0.60, 0.075, "2026-01-01")),
        (MARCH_NS - 1, Prices(0.15, 0.60, 0.075, "2026-01-01")),
        (MARCH_NS, Prices(0.10, 0.40, None, "2026-03-01")),
        (MARCH_NS * 2, Prices(0.10, 0.40, None, "2026-03-01")),
    ],
)
def test_the_newest_row_not_later_than_a_request_is_in_force(at_ns: int, prices: Prices) -> None:
    """Section 6 of the intelligence page: the row in force at `started_ns`."""
    assert PriceTable(read_prices(TABLE, "m")).at(at_ns) == prices


def test_a_model_without_a_row_has_no_price_and_no_cost() -> None:
    assert prices_of(TABLE, UNSET, RELAY, "unlisted").at(MARCH_NS) == NO_PRICES
    assert NO_PRICES.cost_usd(TokenUse(600, 40)) is None


def test_ones_own_price_without_a_date_holds_until_a_row_does() -> None:
    own = prices_of("m 2026-03-01 3 - 4", Prices(1.0, 2.0), RELAY, "m")
    assert (own.at(MARCH_NS - 1).input_usd, own.at(MARCH_NS).input_usd) == (1.0, 3.0)


def test_ones_own_rows_hold_over_what_a_provider_charges_and_not_before_them() -> None:
    known = prices_of("gpt-4o-mini 2026-03-01 7 - 8", UNSET, OPENAI, "gpt-4o-mini")
    assert known.at(MARCH_NS) == Prices(7.0, 8.0, None, "2026-03-01")
    assert known.at(MARCH_NS - 1) == PriceTable(bundled_prices(OPENAI, "gpt-4o-mini")).at(MARCH_NS - 1)


def test_what_a_provider_charges_is_known_by_its_address_alone() -> None:
    """A relay or a server of one's own may have a model of any name, and takes for it what its operator likes."""
    [row] = bundled_prices(OPENAI, "gpt-4o-mini")
    assert (row.prices.input_usd, row.prices.cached_input_usd, row.prices.output_usd) == (0.15, 0.075, 0.6)
    assert bundled_prices(RELAY, "gpt-4o-mini") == []
    assert bundled_prices("http://127.0.0.1:8000/v1", "gpt-4o-mini") == []
    assert bundled_prices(OPENAI, "a-model-of-nobody") == []


def test_a_price_that_changed_is_a_row_from_its_day_on() -> None:
    rows = bundled_prices("https://api.anthropic.com/v1", "claude-opus-4-6")
    assert [row.prices.since for row in rows] == ["", "2026-03-13"]
    assert [row.from_ns for row in rows] == [0, date_ns("2026-03-13")]


def test_a_model_that_is_paid_by_the_request_has_no_price_that_could_be_wrong() -> None:
    assert not any(row.prices.are_known for row in bundled_prices("https://api.perplexity.ai", "sonar"))


def test_the_dearest_row_bounds_what_tokens_cost_whichever_is_in_force() -> None:
    table = PriceTable([PriceRow("m", 0, Prices(1.0, 2.0)), PriceRow("m", 9, Prices(3.0, 1.0))])
    assert table.most_usd(10**6, 10**6) == 4
    assert PriceTable([]).most_usd(1, 1) == 0


@pytest.mark.parametrize(
    "row",
    [
        "m 2026-01-01 1 2",
        "m soon 1 2 3",
        "m 2026-02-30 1 2 3",
        "m 2026-01-01 -1 2 3",
        "m 2026-01-01 nan 2 3",
        "m 2026-01-01 1 inf 3",
    ],
)
def test_a_row_that_is_none_is_refused_whichever_model_it_is_of(row: str) -> None:
    with pytest.raises(UsageError, match=r"regimes\.prices has a row that is none"):
        read_prices(f"m 2026-01-01 1 1 1; {row}", "another")


def test_reading_them_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data are part of the package; its updates over the network are never asked for."""
    monkeypatch.setattr(socket.socket, "connect", None)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert bundled_prices(OPENAI, "gpt-4o-mini")
    assert not data_snapshot.get_snapshot().from_auto_update


@pytest.mark.advice("write rows as `small-model 2026-01-01 0.15 0.075 0.60`, separated by semicolons")
def test_rows_written_as_the_advice_says_are_rows() -> None:
    with pytest.raises(UsageError) as raised:
        read_prices("small-model: 0.15", "small-model")
    row = raised.value.next_step.split("`")[1]
    for times in (1, 2, 3):
        rows = read_prices(";".join([row] * times), "small-model")
        assert [found.prices.are_known for found in rows] == [True] * times
