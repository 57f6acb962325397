"""Which of several producers of one instrument goes on: decided by what each says in `feed-status.v1`, alike by all.

Whoever wants to produce says so: the first status of each feed is a claim. It then reads up to its own claims, so
that it knows every claim that lies before one of them, and until it has begun:

- a rival of a lower run makes it give way, with a farewell;
- a rival of a higher run whose claim lies before has either seen this producer's, and gives way, or has seen none and
  begins. So it is waited for: a farewell, or a long silence, lets this producer begin; a second word means that the
  rival has begun, and this producer gives way.

Thus of those that start together exactly one begins, in whatever order their claims reach the log
(`tests/producers/test_contest.py` tries them). Runs are compared as texts; they begin with the time of their start.

A producer that slept through all of this while another took its place finds out by the other's words: of two that have
begun, the one of the higher run gives way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple


class Word(NamedTuple):
    """One status, as far as it matters here.

    Attributes:
        symbol: Whose feed.
        run: Who says it: a run of a producer.
        farewell: Whether it is the last word.
    """

    symbol: str
    run: str
    farewell: bool


class Contest:
    """What one producer knows of its rivals.

    Args:
        run: Its own.
        symbols: What it is to produce.

    Attributes:
        lost_to: The word that makes it give way; None so far.
    """

    def __init__(self, run: str, symbols: Collection[str]) -> None:
        self.lost_to: Word | None = None
        self._run = run
        self._symbols = frozenset(symbols)
        self._unclaimed = set(symbols)
        self._words: Counter[tuple[str, str]] = Counter()
        self._suspects: set[tuple[str, str]] = set()
        self._begun = False

    def is_about(self, symbol: str) -> bool:
        """Whether it decides about an instrument."""
        return symbol in self._symbols

    @property
    def has_read_its_claims(self) -> bool:
        """Whether everything said before its own claims is known."""
        return not self._unclaimed

    @property
    def suspects(self) -> int:
        """How many words of rivals wait for an answer: a farewell, a second word, or silence."""
        return len(self._suspects)

    @property
    def may_begin(self) -> bool:
        """Whether it goes on."""
        return self.has_read_its_claims and not self._suspects and self.lost_to is None

    def begin(self) -> None:
        """Note that it produces from here on."""
        self._begun = True

    def forget_the_silent(self) -> None:
        """Note that suspects have been silent for longer than any living producer is."""
        self._suspects.clear()

    def hear(self, word: Word) -> None:
        """Take in what was said next of an instrument; within an instrument in the order of the log."""
        if word.run == self._run:
            self._unclaimed.discard(word.symbol)
            return
        rival = (word.symbol, word.run)
        if word.farewell:
            self._suspects.discard(rival)
            self._words.pop(rival, None)
            return
        self._words[rival] += 1
        if self._gives_way(word, rival_has_begun=self._words[rival] > 1):
            self.lost_to = self.lost_to or word
        elif word.symbol in self._unclaimed:
            self._suspects.add(rival)

    def _gives_way(self, word: Word, *, rival_has_begun: bool) -> bool:
        lower = word.run < self._run
        return (rival_has_begun and lower) if self._begun else (rival_has_begun or lower)
