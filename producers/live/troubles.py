"""What is wrong with the feeds of a venue, beside what its frames show: what it refuses, lists, or keeps to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import structlog

from producers.books.stream import InstrumentStream, Published

LISTING = "listing"
"""What a trouble is about that the venue's list tells."""

log = structlog.get_logger(__name__)


class FeedTroubles:
    """The troubles of a venue's feeds.

    Args:
        streams: The instruments, by symbol.
        emit: Publishes what feeds say.
        now_ns: The time.

    Attributes:
        refused: Instruments that the venue does not send.
    """

    def __init__(
        self,
        streams: Mapping[str, InstrumentStream],
        emit: Callable[[Iterable[Published]], None],
        now_ns: Callable[[], int],
    ) -> None:
        self.refused: set[str] = set()
        self._streams, self._emit, self._now_ns = streams, emit, now_ns
        self._gate_told = ""

    def note(self, symbol: str, about: str, sentence: str) -> None:
        """Say what is wrong with a feed, or with an empty sentence that it is over."""
        if (stream := self._streams.get(symbol)) is not None:
            self._emit(stream.feed.on_trouble(about, sentence, self._now_ns()))

    def note_refused(self, symbol: str, why: str) -> None:
        """Say that the venue does not send an instrument, or with an empty reason that it does now."""
        if why:
            self.refused.add(symbol)
            log.warning("subscription_refused", symbol=symbol, why=why)
        else:
            self.refused.discard(symbol)
        self.note(symbol, "subscription", why and f"the venue refuses to send this symbol ({why})")

    def note_away(self, symbol: str, why: str) -> None:
        """Say why nothing carries an instrument, or with an empty reason that something does again."""
        self.note(symbol, "connection", why)

    def note_derivatives_refused(self, symbol: str, why: str) -> None:
        """Say that the venue does not tell of a derivative, or does again; its book is none the worse for it."""
        if why:
            log.warning("derivatives_refused", symbol=symbol, why=why)
        self.note(symbol, "derivatives", why and f"the venue refuses to send funding and mark prices ({why})")

    def note_gate(self, why: str) -> None:
        """Say of every feed that its venue has closed the gate, or with an empty reason that it is open again."""
        if why != self._gate_told:
            self._gate_told = why
            for symbol in self._streams:
                self.note(symbol, "gate", why)

    def forget(self, symbol: str) -> None:
        """Forget an instrument that is produced no longer."""
        self.refused.discard(symbol)
