"""What providers charge by the package genai-prices: its bundled data, never its updates over the network.

A price is taken only where the endpoint's address is that of a provider whom the package knows: what a relay or a
server of one's own takes for a model of the same name, nobody but its operator can say.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from processors.derived.fees import date_ns
from processors.llm.price_table import PriceRow
from processors.llm.pricing import Prices

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

PROVIDERS: Final = "https://"
"""How the address of whoever charges begins; a server of one's own seldom does, and then nothing is looked up."""
LEAST_TIER_TOKENS: Final = 16_000
"""Prices that differ from so much input on never concern a question, which has some thousand tokens at most."""


def bundled_prices(url: str, model: str) -> list[PriceRow]:
    """The rows of a provider's model; none where address or model are not known.

    Args:
        url: The endpoint.
        model: As it is asked for.
    """
    if not url.startswith(PROVIDERS):
        return []
    # A megabyte of data: loaded where a model has to be looked up, and nowhere else.
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import ModelPrice, StartDateConstraint

    try:
        _, found = get_snapshot().find_provider_model(model, None, None, url)
    except LookupError:
        return []
    if isinstance(found.prices, ModelPrice):
        return [PriceRow(model, 0, _prices(found.prices, ""))]
    rows = []
    for each in found.prices:
        if each.constraint is None:
            rows.append(PriceRow(model, 0, _prices(each.prices, "")))
        elif isinstance(each.constraint, StartDateConstraint):
            since = each.constraint.start_date.isoformat()
            rows.append(PriceRow(model, date_ns(since), _prices(each.prices, since)))
        else:
            return []  # prices by the hour are no rows by date
    return rows


def _prices(known: ModelPrice, since: str) -> Prices:
    """What concerns a question; without a number where something beside tokens is charged."""
    if known.requests_kcount is not None:
        return Prices(None, None, None, since)
    return Prices(_usd(known.input_mtok), _usd(known.output_mtok), _usd(known.cache_read_mtok), since)


def _usd(price: object) -> float | None:
    from genai_prices.types import TieredPrices

    if isinstance(price, TieredPrices):
        price = price.base if all(tier.start >= LEAST_TIER_TOKENS for tier in price.tiers) else None
    return float(price) if isinstance(price, Decimal) else None
