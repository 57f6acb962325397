"""What is subscribed in place of silent channels, over connections of their own, within the venue's limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from producers.contract import Channel, Exchange, Say
from producers.live.connections import Connection

Subscribe: TypeAlias = Callable[[Sequence[str]], list[Say]]


class Alternatives:
    """The connections that bring what silent channels should.

    Args:
        exchange: The venue.
        open_one: Makes a connection of a path, for instruments and with what subscribes to them, and opens it.
    """

    def __init__(self, exchange: Exchange, open_one: Callable[[str, Sequence[str], Subscribe], Connection]) -> None:
        self._exchange = exchange
        self._open_one = open_one
        # Several channels may have their alternatives on one path, and each is subscribed by itself.
        self._carriers: defaultdict[tuple[str, Channel], list[Connection]] = defaultdict(list)

    @property
    def connections(self) -> list[Connection]:
        """All of them, also those that carry nothing any more."""
        return [one for carriers in self._carriers.values() for one in carriers]

    def subscribe(self, channel: Channel, symbol: str) -> bool:
        """Subscribe to what there is in place of an instrument's channel; False where there is nothing."""
        found = self._exchange.alternative(channel, [symbol])
        if found is None:
            return False
        carriers = self._carriers[found.path, channel]
        if not any(symbol in one.symbols for one in carriers):
            roomy = next((one for one in carriers if self._has_room(one)), None)
            if roomy is None:
                carriers.append(self._open_one(found.path, [symbol], partial(self._says, channel)))
            else:
                roomy.add([symbol])
        return True

    def _has_room(self, connection: Connection) -> bool:
        """Tell whether a connection may carry one more; each instrument is one stream of it."""
        return len(connection.symbols) < self._exchange.limits.streams_per_connection

    def _says(self, channel: Channel, symbols: Sequence[str]) -> list[Say]:
        alternative = self._exchange.alternative(channel, symbols)
        return alternative.says if alternative else []
