"""What readers of Tardis's forms share: numbers as plain decimals, and the errors for text that is none of theirs."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from orderbook.decimals import MAX_TEXT

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""


def plain_decimal(text: str) -> str:
    """Write a number without an exponent: "1e-7" is "0.0000001"; what is no number stays, to be refused as it is.

    So does one of so many digits that nobody reads it: "1e999999999" written out would fill the memory.
    """
    if "e" not in text and "E" not in text:
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    is_short = number.is_finite() and abs(number.adjusted()) <= MAX_TEXT
    return f"{number:f}" if is_short else text


def decimal_text(number: Decimal) -> str:
    """Write a number that was read digit by digit; see `plain_decimal`."""
    return plain_decimal(str(number))
