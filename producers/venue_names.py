"""Names of venues, as commands are given them."""

from __future__ import annotations

from obflow.settings import nearest
from producers.contract import Exchange
from producers.exchanges import EXCHANGES
from schemas.errors import UsageError


def exchange_named(venue: str) -> Exchange:
    """Find the venue of this name.

    Raises:
        UsageError: There is none.
    """
    if venue in EXCHANGES:
        return EXCHANGES[venue]
    close = nearest(venue, list(EXCHANGES))
    step = f"did you mean {close}?" if close else f"there are {', '.join(sorted(EXCHANGES))}"
    raise UsageError(f"there is no venue {venue!r}", next_step=step)
