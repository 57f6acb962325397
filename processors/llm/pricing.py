"""What an answer cost: reported tokens by the prices in force, in decimals, so that sums are those of an invoice."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple, Protocol

TOKENS_PRICED = 1_000_000


class TokenUse(NamedTuple):
    """What an answer took, as the endpoint reports it; null is not reported.

    Attributes:
        input, output: All that was read and all that was written.
        cached: Part of the input: what the endpoint had kept from earlier requests.
        reasoning: Part of the output: what was thought and not said.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether both wholes were reported."""
        return self.input is not None and self.output is not None


NOT_REPORTED: Final = TokenUse()


class Prices(NamedTuple):
    """Prices of a model; null is not known.

    Attributes:
        input_usd, output_usd: Of a million tokens.
        cached_input_usd: Of a million input tokens that the endpoint had kept; null is the price of any other.
        since: Day from which on they hold, as 2026-01-01; empty where that is not said.
    """

    input_usd: float | None
    output_usd: float | None
    cached_input_usd: float | None = None
    since: str = ""

    def at(self, at_ns: int) -> Prices:
        """The prices in force at a moment, ns UTC: these, whenever it is."""
        del at_ns
        return self

    @property
    def are_known(self) -> bool:
        """Whether a cost can be computed."""
        return self.input_usd is not None and self.output_usd is not None

    def cost(self, tokens: TokenUse) -> Decimal | None:
        """Cost of an answer, USD, exact; null where a price or a number of tokens is not known.

        (input − cached) · its price + cached · its price + output · its price. Parts are never added to their wholes.
        """
        if self.input_usd is None or self.output_usd is None or tokens.input is None or tokens.output is None:
            return None
        cached = tokens.cached or 0
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        # The decimal a person wrote, not the double next to it.
        spent = (
            Decimal(str(self.input_usd)) * (tokens.input - cached)
            + Decimal(str(cached_usd)) * cached
            + Decimal(str(self.output_usd)) * tokens.output
        )
        return spent / TOKENS_PRICED

    def cost_usd(self, tokens: TokenUse) -> float | None:
        """The same as a number of a row."""
        cost = self.cost(tokens)
        return None if cost is None else float(cost)

    def most_usd(self, input_tokens: int, output_tokens: int) -> Decimal:
        """What so many tokens cost at most, USD, whatever the endpoint has kept; 0 without prices."""
        dearest = max(self.input_usd or 0.0, self.cached_input_usd or 0.0)
        prices = Decimal(str(dearest)), Decimal(str(self.output_usd or 0.0))
        return (prices[0] * input_tokens + prices[1] * output_tokens) / TOKENS_PRICED


NO_PRICES: Final = Prices(None, None)


class PriceList(Protocol):
    """Prices of a model over time."""

    def at(self, at_ns: int) -> Prices:
        """The prices in force at a moment, ns UTC; without a number where none are."""

    def most_usd(self, input_tokens: int, output_tokens: int) -> Decimal:
        """What so many tokens cost at most, USD, whichever prices are in force; 0 without prices."""
