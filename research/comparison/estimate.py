"""What a comparison is likely to cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from processors.llm.pricing import Prices, TokenUse
from processors.regimes.prompt import Prompt
from research.comparison.answers import ModelAnswer

CHARACTERS_A_TOKEN: Final = 4
ANSWER_TOKENS: Final = 400
"""Of an answer, where none of the model is kept yet: a verdict has some 150, and a little thinking more."""


class CostEstimate(NamedTuple):
    """Of one model.

    Attributes:
        model: It.
        to_ask: Questions that are not kept.
        input_tokens, output_tokens: Of all of them together.
        usd: Null where the model has no price, and something is to be asked.
    """

    model: str
    to_ask: int
    input_tokens: int
    output_tokens: int
    usd: float | None


def estimated(model: str, prompts: Sequence[Prompt], kept: Sequence[ModelAnswer], prices: Prices) -> CostEstimate:
    """Estimate by what the kept answers of the model took, else by the length of the questions.

    Args:
        model: It.
        prompts: The questions that are to be asked.
        kept: Its answers to others.
        prices: Of the model.
    """
    calls = [call for answer in kept for call in answer.calls]
    tokens_in, tokens_out = (
        sum(found)
        for found in ([call.input_tokens or 0 for call in calls], [call.output_tokens or 0 for call in calls])
    )
    if tokens_in and tokens_out:
        use = TokenUse(*(round(len(prompts) * total / len(kept)) for total in (tokens_in, tokens_out)))
    else:
        sent = sum(len(prompt.system) + len(prompt.user) for prompt in prompts)
        use = TokenUse(-(-sent // CHARACTERS_A_TOKEN), len(prompts) * ANSWER_TOKENS)
    usd = prices.cost_usd(use) if prompts else 0.0
    return CostEstimate(model, len(prompts), use.input or 0, use.output or 0, usd)
