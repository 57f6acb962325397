"""What a part of a recording lacks that is read without the parts before it: books, until a whole one comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from producers.recordings.reader import ReplayStep
from schemas.messages import Kind, L2Record
from schemas.units import NS_PER_SECOND


class FirstBooks:
    """When the first whole book of each instrument came, noted while steps go by.

    Attributes:
        began_ns: When the first step was received; 0 before it.
        came_ns: By symbol, when its first book came.
    """

    def __init__(self) -> None:
        self.began_ns = 0
        self.came_ns: dict[str, int] = {}

    def over(self, steps: Iterable[ReplayStep]) -> Iterator[ReplayStep]:
        """Pass steps on."""
        for step in steps:
            self.began_ns = self.began_ns or step.received_ns
            for record in step.records:
                if isinstance(record, L2Record) and record.kind is Kind.SNAPSHOT:
                    self.came_ns.setdefault(record.symbol, record.received_ns)
            yield step

    def lacks(self, symbols: Iterable[str]) -> list[str]:
        """Say of each instrument how long it had no book, a sentence each."""
        return [self._lack(symbol) for symbol in sorted(symbols)]

    def _lack(self, symbol: str) -> str:
        came_ns = self.came_ns.get(symbol)
        if came_ns is None:
            return f"{symbol} has no whole book in it"
        return f"{symbol} has no book in its first {(came_ns - self.began_ns) / NS_PER_SECOND:.3f} s"
