"""Whose connection brings what: which of them carries an instrument, and over which its updates came last.

A connection that will end is replaced while it still serves. Its successor has its name, a tilde and a number: both
are the same carrier's, and bring the same instruments. Which carrier brings one is known beforehand, or learned from
its updates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from producers.contract import FrameReader
from producers.messages import BESIDE_BOOKS, BestQuote, DepthDelta, DepthSnapshot


class Left(NamedTuple):
    """An instrument of which a connection is lost."""

    symbol: str
    goes_on: bool
    """Whether the other of two connections brings it."""


class Carriers:
    """The connections of one venue at one producer.

    Args:
        symbols: What is carried, as it is at any moment.
        exchange: The venue: do its connections bring the same updates under the same ids?

    Attributes:
        source_of: By symbol, the connection of its last update.
    """

    def __init__(self, symbols: Collection[str], exchange: FrameReader) -> None:
        self.source_of: dict[str, str] = {}
        self._symbols, self._exchange = symbols, exchange
        self._carrier_of: dict[str, str] = {}  # by symbol: whose connections bring its updates, or brought them last
        self._standing: dict[str, list[str]] = {}  # by carrier: its connections, the oldest first
        self._assigned: set[str] = set()

    def assign(self, connection: str, symbols: Iterable[str]) -> None:
        """Know beforehand which connection carries these instruments; else it is learned from their updates."""
        self._carrier_of.update(dict.fromkeys(symbols, carrier_of(connection)))
        self._assigned.update(symbols)

    def forget(self, symbol: str) -> None:
        """Forget what brought an instrument that is carried no longer."""
        self._assigned.discard(symbol)
        for known in (self._carrier_of, self.source_of):
            known.pop(symbol, None)

    def carried_by(self, connection: str) -> list[str]:
        """Instruments of its carrier, and those of which nothing tells what carries them, unless it carries none."""
        carrier = carrier_of(connection)
        unknown = "" if carrier.endswith(BESIDE_BOOKS) else carrier
        return [symbol for symbol in self._symbols if self._carrier_of.get(symbol, unknown) == carrier]

    def comes_over(self, connection: str) -> bool:
        """Tell whether all that its carrier carries has come over this connection."""
        return all(self.source_of.get(symbol) == connection for symbol in self.carried_by(connection))

    def open(self, connection: str) -> bool:
        """Note that a connection stands; True where it is the successor of one that still serves."""
        standing = self._standing.setdefault(carrier_of(connection), [])
        is_successor = bool(standing) and connection not in standing
        self._standing[carrier_of(connection)] = [*standing, connection] if is_successor else [connection]
        return is_successor

    def close(self, connection: str) -> list[Left]:
        """Note that a connection is lost: the only one, or one of two, of which the other goes on."""
        standing = self._standing.get(carrier_of(connection), [])
        if connection in standing:
            standing.remove(connection)
        left = []
        for symbol in self.carried_by(connection):
            goes_on = bool(standing) and (self._exchange.shares_update_ids or self.source_of.get(symbol) in standing)
            if not goes_on and symbol not in self._assigned:
                self._carrier_of.pop(symbol, None)
            left.append(Left(symbol, goes_on))
        return left

    def brings(self, message: DepthDelta | BestQuote, connection: str) -> bool:
        """Tell whether what follows a book comes from where its last update came, or may come from here."""
        return self.source_of.get(message.symbol) == connection or self.is_source(message, connection)

    def is_source(self, message: DepthDelta | DepthSnapshot | BestQuote, connection: str) -> bool:
        """Note where depth comes from; False where it has to come from another of two connections.

        Where connections do not share the ids of updates, the older one stays the source until a whole book came over
        the newer one; that book begins an epoch.
        """
        symbol, carrier = message.symbol or "", carrier_of(connection)
        source, standing = self.source_of.get(symbol), self._standing.get(carrier, [])
        if len(standing) > 1 and not self._exchange.shares_update_ids and source in standing:
            is_older = connection == standing[0]
            if is_older or not isinstance(message, DepthSnapshot):
                return source == connection
        if not isinstance(message, BestQuote):
            self.source_of[symbol], self._carrier_of[symbol] = connection, carrier
        return True


def carrier_of(connection: str) -> str:
    """Whose connection it is: a successor's name is its carrier's, a tilde and a number."""
    return connection.partition("~")[0]
