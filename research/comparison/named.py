"""What is typed of models: their names, and their prices."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from processors.llm.pricing import Prices
from schemas.errors import UsageError


def named_models(text: str) -> list[str]:
    """The models, each once, in their order.

    Args:
        text: Names with commas between.

    Raises:
        UsageError: There is none.
    """
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise UsageError("--models names no model", next_step="name some, as --models small-model,large-model")
    return found


def read_prices(texts: Iterable[str]) -> dict[str, Prices]:
    """Prices by model.

    Args:
        texts: Each `model=input,output` or `model=input,output,cached input`, USD a million tokens.

    Raises:
        UsageError: One is none.
    """
    return dict(map(_read_price, texts))


def _read_price(text: str) -> tuple[str, Prices]:
    model, _, told = text.rpartition("=")
    try:
        numbers = [float(part) for part in told.split(",")]
    except ValueError:
        numbers = []
    if not model or len(numbers) not in (2, 3) or not all(isfinite(one) and one >= 0.0 for one in numbers):
        raise UsageError(f"{text!r} is no price of a model", next_step="write it as --price small-model=0.15,0.6")
    return model, Prices(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None)
