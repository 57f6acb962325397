"""What every record of an instrument begins with, and where its frames came from."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from schemas.bounds import Symbol, Venue


class Source(StrEnum):
    """Where the frames came from."""

    LIVE = "live"
    REPLAY = "replay"
    SIMULATOR = "simulator"


class ContractKind(StrEnum):
    """How a size becomes a notional."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class InstrumentKey(NamedTuple):
    """An instrument: the venue and the venue's own symbol. Never a symbol alone: spot and linear share names."""

    venue: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> InstrumentKey:
        """Read `venue:symbol`, the key of every per-instrument topic."""
        venue, _, symbol = text.partition(":")
        return cls(venue, symbol)


class InstrumentRecord(msgspec.Struct, frozen=True, gc=False):
    """What every record of one instrument begins with.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
    """

    venue: Venue
    symbol: Symbol

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)
