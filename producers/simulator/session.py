"""One client's conversation with a simulated venue, without its socket and without a clock."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from producers.simulator.events import DepthUpdate, MarketEvent, StreamKind, Subscription
from producers.simulator.exchange import SimulatedExchange, split_target
from producers.simulator.true_book import WholeBook
from schemas.units import NS_PER_SECOND


class Duty(Enum):
    """What a venue does by itself."""

    ASK = auto()
    ANNOUNCE_END = auto()
    END = auto()


class VenueSession:
    """One connection.

    Args:
        exchange: The venue.
        target: Path and query of the handshake.
        now_ns: When it opened, on a clock that never falls.

    Attributes:
        form: How its frames are written.
        subscriptions: What it listens to.
    """

    def __init__(self, exchange: SimulatedExchange, target: str, now_ns: int) -> None:
        opening = exchange.venue.open(*split_target(target))
        self._exchange = exchange
        self._rules = exchange.venue.rules.session
        self.form = opening.form
        self.subscriptions: frozenset[Subscription] = frozenset()
        self._opening = opening.subscriptions
        self._carries = opening.carries
        self._given: dict[str, int] = {}
        self._opened_ns = self._heard_ns = now_ns
        self._asked_ns: int | None = None
        self._ends_ns: int | None = None
        self._announced = False
        self._heartbeat_every_s, self._beat_ns = self._rules.heartbeat_every_s, now_ns

    def begin(self) -> Sequence[str | MarketEvent]:
        """Take what the handshake itself subscribes to; what is sent for it."""
        return self._subscribe(self._opening)

    def receive(self, text: str, now_ns: int) -> Sequence[str | MarketEvent]:
        """Take a message of the client; what is sent for it."""
        self._heard_ns = now_ns
        reaction = self._exchange.venue.receive(text, self.subscriptions, self._exchange, self.form)
        if reaction.answers_heartbeat:
            self._asked_ns = None
        if reaction.heartbeat_every_s is not None:
            self._heartbeat_every_s, self._beat_ns = reaction.heartbeat_every_s, now_ns
        self.form = reaction.form or self.form
        if reaction.lasts_s is not None:
            self._ends_ns = now_ns + int(reaction.lasts_s * NS_PER_SECOND)
        self.subscriptions -= frozenset(reaction.unsubscribe)
        return [*reaction.texts, *self._subscribe(reaction.subscribe)]

    def hears(self, event: MarketEvent) -> bool:
        """Whether an event is sent to it: one it listens to, and not in the book that it was given."""
        if event.subscription not in self.subscriptions or event.stream not in self._carries:
            return False
        return not isinstance(event.what, DepthUpdate) or event.what.last_id > self._given.get(event.spec.symbol, -1)

    def due(self, now_ns: int) -> Duty | None:
        """What the venue has to do by now."""
        rules, age_ns = self._rules, now_ns - self._opened_ns
        if (
            _over(age_ns, rules.lifetime_s)
            or _over(now_ns - self._heard_ns, rules.silence_s)
            or (self._ends_ns is not None and now_ns >= self._ends_ns)
            or (self._asked_ns is not None and _over(now_ns - self._asked_ns, rules.heartbeat_answer_s))
        ):
            return Duty.END
        if rules.notice_s and not self._announced and _over(age_ns, rules.lifetime_s - rules.notice_s):
            self._announced = True
            return Duty.ANNOUNCE_END
        if _over(now_ns - self._beat_ns, self._heartbeat_every_s):
            self._beat_ns = now_ns
            self._asked_ns = now_ns if self._asked_ns is None else self._asked_ns
            return Duty.ASK
        return None

    def _subscribe(self, wanted: Sequence[Subscription]) -> list[MarketEvent]:
        known = [one for one in wanted if one.symbol in self._exchange.specs]
        self.subscriptions = self.subscriptions.union(known)
        again = self._trades_again(known)
        if not self._exchange.venue.rules.book_in_stream:
            return again
        books = [self._exchange.snapshot(one.symbol) for one in known if one.stream is StreamKind.DEPTH]
        self._given |= {book.spec.symbol: book.what.sequence for book in books if isinstance(book.what, WholeBook)}
        told = (self._exchange.derivative(one.symbol, one.stream) for one in known)
        return [*books, *(event for event in told if event is not None), *again]

    def _trades_again(self, known: Sequence[Subscription]) -> list[MarketEvent]:
        """The last trades of what is subscribed to, where they are sent again."""
        trades = [one.symbol for one in known if one.stream is StreamKind.TRADE and one.stream in self._carries]
        return [event for symbol in trades for event in self._exchange.last_trades(symbol)]


def _over(ns: int, seconds: float) -> bool:
    """Whether a time that is limited has passed."""
    return seconds > 0 and ns >= seconds * NS_PER_SECOND
