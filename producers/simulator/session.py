"""One client's conversation with a simulated venue, without its socket and without a clock."""

from __future__ import annotations

from producers.simulator.events import Subscription
from producers.simulator.exchange import SimulatedExchange, split_target


class VenueSession:
    """One connection.

    Args:
        exchange: The venue.
        target: Path and query of the handshake.

    Attributes:
        form: How its frames are written.
        subscriptions: What it listens to.
    """

    def __init__(self, exchange: SimulatedExchange, target: str) -> None:
        opening = exchange.venue.open(*split_target(target))
        self._exchange = exchange
        self.form = opening.form
        self.subscriptions: frozenset[Subscription] = frozenset()
        self._subscribe(opening.subscriptions)

    def receive(self, text: str) -> tuple[str, ...]:
        """Take a message of the client; what it is answered."""
        reaction = self._exchange.venue.receive(text, self.subscriptions, self._exchange)
        self.subscriptions -= frozenset(reaction.unsubscribe)
        self._subscribe(reaction.subscribe)
        return reaction.texts

    def _subscribe(self, wanted: tuple[Subscription, ...]) -> None:
        self.subscriptions |= {one for one in wanted if one.symbol in self._exchange.specs}
