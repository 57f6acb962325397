"""Decimal text to whole steps, and the levels of one side: what `orderbook.decimals` gives, or REFUSED.

Nothing here says what is wrong with a text. Whatever is not the plainest form of it (a number of more than
`MOST_DIGITS` digits, one between two steps, a space, an escape) is refused, and read again by the code that knows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from orderbook.kernel.ladder import Ints
from schemas.kernel.avro import Bytes
from schemas.kernel.compiled import compiled

Text = Any
"""Bytes."""

REFUSED: Final = -1
MOST_DIGITS: Final = 18
"""Of a number in units of the grid's last decimal: below 10^18 every number is an int64."""
MOST_TEXT: Final = 36
"""Digits of a number, padding included; the readable path takes four characters more."""
FLOAT_DIGITS: Final = 15
"""Of a JSON number: with so many, the float that is read of it is written in the same digits again."""
POWERS: Final = np.array([10**power for power in range(MOST_DIGITS + 1)], dtype=np.int64)

PAIRS: Final = 0
"""Levels `["price","size"]`."""
FOURS: Final = 1
"""Levels `["price","size","digits","digits"]`, of which the last two say nothing of the book."""
ACTIONS: Final = 2
"""Levels `["new",price,size]` of JSON numbers; also `change`, and `delete`, whose size is 0."""

QUOTE: Final = 34
COMMA: Final = 44
MINUS: Final = 45
POINT: Final = 46
ZERO: Final = 48
OPEN: Final = 91
CLOSE: Final = 93
BRACE: Final = 125

NEW: Final = np.frombuffer(b'"new",', dtype=np.uint8)
CHANGE: Final = np.frombuffer(b'"change",', dtype=np.uint8)
DELETE: Final = np.frombuffer(b'"delete",', dtype=np.uint8)


@compiled
def read_steps(data: Text, at: int, decimals: int, units: int, is_json: bool) -> tuple[int, int]:
    """Read one number from `at` on: its steps and where it ends; REFUSED twice where it is not plain.

    Args:
        data: The text. Its last byte is no digit, so that every number ends within it.
        at: Where the number begins, within the text.
        decimals: Of the step.
        units: The step in units of its last decimal.
        is_json: It is read as a float and written anew on the readable path: fewer digits, no zero before others.
    """
    value: int = 0
    start, places = at, 0
    digit = np.int64(data[np.uintp(at)]) - ZERO
    while 0 <= digit <= 9:
        value, at = value * 10 + digit, at + 1  # type: ignore[assignment] # an int64
        digit = np.int64(data[np.uintp(at)]) - ZERO
    digits = whole = at - start
    if digit == POINT - ZERO:
        at += 1
        start = at
        digit = np.int64(data[np.uintp(at)]) - ZERO
        while 0 <= digit <= 9:
            if places < decimals:
                value, places = value * 10 + digit, places + 1  # type: ignore[assignment] # an int64
            elif digit != 0:
                return REFUSED, REFUSED
            at += 1
            digit = np.int64(data[np.uintp(at)]) - ZERO
        digits += at - start
        if at == start:
            return REFUSED, REFUSED
    # Only now, and once: what overflowed meanwhile is refused here.
    if whole == 0 or whole > MOST_DIGITS - decimals or digits > MOST_TEXT:
        return REFUSED, REFUSED
    if is_json and (digits > FLOAT_DIGITS or (whole > 1 and data[np.uintp(at - digits - (digits > whole))] == ZERO)):
        return REFUSED, REFUSED
    value *= POWERS[decimals - places]
    if units == 1:
        return value, at
    steps = value // units
    return (steps, at) if steps * units == value else (REFUSED, REFUSED)


@compiled
def read_whole(data: Text, at: int, is_signed: bool) -> tuple[int, int]:
    """Read a whole number of at most MOST_DIGITS digits, as JSON writes it, and where it ends; REFUSED as where.

    Args:
        data: The text. Its last byte is neither a digit nor a sign.
        at: Where the number begins, within the text.
        is_signed: It may be below zero.
    """
    is_below = is_signed and data[np.uintp(at)] == MINUS
    if is_below:
        at += 1
    value: int = 0
    start, digit = at, np.int64(data[np.uintp(at)]) - ZERO
    while 0 <= digit <= 9:
        value, at = value * 10 + digit, at + 1  # type: ignore[assignment] # an int64
        digit = np.int64(data[np.uintp(at)]) - ZERO
    digits = at - start
    if digits == 0 or digits > MOST_DIGITS or (digits > 1 and data[np.uintp(start)] == ZERO):
        return 0, REFUSED
    return (-value if is_below else value), at


@compiled
def read_levels(
    data: Text, at: int, form: int, grid: tuple[int, int, int, int], out: Ints, used: int, room: int
) -> tuple[int, int]:
    """Read one side, `[[…],[…]]`: price and size of each level in turns. How many, and where it ends; or REFUSED twice.

    No byte beyond the text is looked at: only after one that was found not to be its last one, a brace, comes another.

    Args:
        data: The text, which ends with a brace.
        at: Where the side begins, within the text.
        form: PAIRS, FOURS or ACTIONS.
        grid: Decimals and units of prices, then of sizes.
        out: Where they go.
        used: From where on.
        room: Up to where.
    """
    start = used
    if data[np.uintp(at)] != OPEN:
        return REFUSED, REFUSED
    if data[np.uintp(at + 1)] == CLOSE:
        return 0, at + 2
    price_decimals, price_units, size_decimals, size_units = grid
    gap = 1 if form == ACTIONS else 3
    is_json, removes = form == ACTIONS, False
    at += 1
    while True:
        if data[np.uintp(at)] != OPEN or used + 2 > room:
            return REFUSED, REFUSED
        if is_json:
            removes, at = _read_word(data, at + 1)
        else:
            at = at + 2 if data[np.uintp(at + 1)] == QUOTE else REFUSED
        if at == REFUSED:
            return REFUSED, REFUSED
        price, at = read_steps(data, at, price_decimals, price_units, is_json)
        if at == REFUSED or not _is_gap(data, at, is_json):
            return REFUSED, REFUSED
        size, at = read_steps(data, at + gap, size_decimals, size_units, is_json)
        if not is_json:
            at = _pass_over_rest(data, at, form)
        if at == REFUSED or data[np.uintp(at)] != CLOSE:
            return REFUSED, REFUSED
        out[np.uintp(used)], out[np.uintp(used + 1)] = price, 0 if removes else size
        used, at = used + 2, at + 2
        if data[np.uintp(at - 1)] == CLOSE:
            return (used - start) // 2, at
        if data[np.uintp(at - 1)] != COMMA:
            return REFUSED, REFUSED


@compiled
def _is_gap(data: Text, at: int, is_json: bool) -> bool:
    """Say whether what stands between price and size is there."""
    if is_json:
        return data[np.uintp(at)] == COMMA  # type: ignore[no-any-return] # a bool
    return data[np.uintp(at)] == QUOTE and data[np.uintp(at + 1)] == COMMA and data[np.uintp(at + 2)] == QUOTE  # type: ignore[no-any-return]


@compiled
def _pass_over_rest(data: Text, at: int, form: int) -> int:
    """Pass over the quote behind a size, and over two more texts of digits where the form has them."""
    if at == REFUSED or data[np.uintp(at)] != QUOTE:
        return REFUSED
    at += 1
    if form == FOURS:
        for _ in range(2):
            if data[np.uintp(at)] != COMMA or data[np.uintp(at + 1)] != QUOTE:
                return REFUSED
            at += 2
            while ZERO <= data[np.uintp(at)] <= ZERO + 9:
                at += 1
            if data[np.uintp(at)] != QUOTE:
                return REFUSED
            at += 1
    return at


@compiled
def _read_word(data: Text, at: int) -> tuple[bool, int]:
    """Read `"new",`, `"change",` or `"delete",`: whether it removes, and where it ends."""
    if data[np.uintp(at)] != QUOTE:
        return False, REFUSED
    first = data[np.uintp(at + 1)]
    if first == NEW[1]:
        return False, _end_of(data, at, NEW)
    if first == CHANGE[1]:
        return False, _end_of(data, at, CHANGE)
    return True, _end_of(data, at, DELETE)


@compiled
def _end_of(data: Text, at: int, word: Bytes) -> int:
    """Say where a word ends that begins here, or REFUSED."""
    for i in range(1, len(word)):
        if data[np.uintp(at + i)] != word[i]:
            return REFUSED
    return at + len(word)
