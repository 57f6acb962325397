"""What a factor record says of events that were withheld before its own: a worker under overload conflates (ADR 0050).

Every record of the books' log was applied and counted in windows; of those from `first_offset` up to the factor
record's last event, the instrument has so many events that were not sent. It stands in a header, so that records and
rows have one form whether anything was withheld or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.bounds import INT64_MAX

WITHHELD_HEADER: Final = "obflow-withheld"
"""Header of a factor record that lacks events, as `Withheld.header` writes it."""


class Withheld(NamedTuple):
    """Events that were not sent.

    Attributes:
        first_offset: Source offset of the first event that is in the record or was withheld before one that is.
        events: How many were withheld.
    """

    first_offset: int
    events: int

    @property
    def header(self) -> tuple[str, bytes]:
        """The header: both numbers, a space between them."""
        return WITHHELD_HEADER, f"{self.first_offset} {self.events}".encode()


def withheld_before(headers: Iterable[tuple[str, bytes]]) -> Withheld | None:
    """Read it from a factor record's headers; None where nothing was withheld, or nothing that can be read says so."""
    first, _, events = dict(headers).get(WITHHELD_HEADER, b"").partition(b" ")
    if not (_is_count(first) and _is_count(events)):
        return None
    return Withheld(int(first), int(events))


def _is_count(text: bytes) -> bool:
    return text.isdigit() and len(text) <= len(str(INT64_MAX))
