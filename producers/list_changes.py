"""What has changed between what is produced and the venue's newest instrument list. Pure: two lists in, changes out.

A list is believed where it says something: another grid, another status, an instrument more. That it says nothing of an
instrument any more is believed when the next list says nothing of it either: an answer may be cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from producers.messages import Instrument, InstrumentList

FOR_GOOD: Final = "it will not trade again"
NOT_LISTED: Final = f"the venue lists it no longer: {FOR_GOOD}"
Selects = Callable[[Instrument], bool]


class Delisting(NamedTuple):
    """An instrument that the venue trades no longer, and why that is known, as a sentence."""

    symbol: str
    why: str


class ListChanges(NamedTuple):
    """What to do about a list.

    Attributes:
        new: Instruments to produce from here on.
        regridded: Those whose grid, or what a contract is worth, is another.
        restated: Those whose status is another.
        ended: Those that the venue trades no longer.
        missing: Symbols that this list says nothing of; to be given to the next comparison.
    """

    new: tuple[Instrument, ...] = ()
    regridded: tuple[Instrument, ...] = ()
    restated: tuple[Instrument, ...] = ()
    ended: tuple[Delisting, ...] = ()
    missing: frozenset[str] = frozenset()


def compare_lists(
    produced: Mapping[str, Instrument], listed: InstrumentList, selects: Selects, missing: Collection[str] = ()
) -> ListChanges:
    """Compare what is produced with a list that was read whole.

    Args:
        produced: By symbol, as they were listed when that was last looked at.
        listed: The list.
        selects: Whether an instrument that trades is to be produced.
        missing: Symbols that the list before said nothing of.

    Returns:
        What has changed; nothing where the list names no instrument at all.
    """
    now = {instrument.symbol: instrument for instrument in listed.instruments}
    if not now:
        return ListChanges(missing=frozenset(missing) & produced.keys())
    known = [(before, now[symbol]) for symbol, before in produced.items() if symbol in now]
    gone = frozenset(produced.keys() - now.keys() - set(listed.unreadable))
    return ListChanges(
        tuple(one for one in now.values() if one.symbol not in produced and not one.is_delisted and selects(one)),
        tuple(after for before, after in known if not after.is_delisted and grid_of(after) != grid_of(before)),
        tuple(
            after for before, after in known if not after.is_delisted and after.trading_status != before.trading_status
        ),
        (
            *(Delisting(after.symbol, status_sentence(after)) for _, after in known if after.is_delisted),
            *(Delisting(symbol, NOT_LISTED) for symbol in sorted(gone.intersection(missing))),
        ),
        gone.difference(missing),
    )


def grid_of(instrument: Instrument) -> tuple[object, ...]:
    """What makes numbers of one epoch comparable with each other: grid, value and kind of a contract."""
    return instrument.tick_size, instrument.lot_size, instrument.contract_value, instrument.contract_kind


def status_sentence(instrument: Instrument) -> str:
    """Say what the list says of an instrument that does not trade; empty where it does."""
    if not instrument.trading_status:
        return ""
    sentence = f"the venue lists it as {instrument.trading_status}"
    return f"{sentence}: {FOR_GOOD}" if instrument.is_delisted else sentence
