"""What an answer cost: reported tokens by configured prices, in decimals, so that sums are those of an invoice."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

TOKENS_PRICED = 1_000_000


class Prices(NamedTuple):
    """Prices of a model; null is not configured.

    Attributes:
        input_usd, output_usd: Of a million tokens.
    """

    input_usd: float | None
    output_usd: float | None

    def cost_usd(self, input_tokens: int | None, output_tokens: int | None) -> float | None:
        """Cost of an answer, USD; null where a price or a number of tokens is not known."""
        if self.input_usd is None or self.output_usd is None or input_tokens is None or output_tokens is None:
            return None
        # The decimal a person wrote, not the double next to it.
        spent = Decimal(str(self.input_usd)) * input_tokens + Decimal(str(self.output_usd)) * output_tokens
        return float(spent / TOKENS_PRICED)
