"""How far a venue's numbers went, and how much of that came: what was lost, by arithmetic alone.

A venue that numbers changes, messages or moments lets its numbers rise with all that happens. What they rose by with
updates that came, and without, is the loss of messages as a share, whatever one number stands for. An update that came
too late for the book is lost like one that never came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from producers.messages import DepthDelta


@dataclass(slots=True)
class Advance:
    """One instrument's numbers.

    Attributes:
        last: The highest that came; None before the first.
        seen: By how much they rose with updates that came.
        lost: By how much they rose without.
        restarts: Times that they began anew: how much was lost then is not known.
    """

    last: int | None = None
    seen: int = 0
    lost: int = 0
    restarts: int = 0

    def follow(self, sequence: int) -> None:
        """Note the number of a LIVE book: each update between what came before and this came too."""
        if self.last is None:
            self.last = sequence
        elif sequence > self.last:
            self.seen += sequence - self.last
            self.last = sequence

    def note(self, delta: DepthDelta) -> None:
        """Note an update that came, wherever it belongs; one at or below what came before is a copy, or late."""
        previous = delta.first_sequence - 1 if delta.previous_sequence is None else delta.previous_sequence
        last = self.last
        if last is None:
            self.last = delta.last_sequence
        elif previous == last and delta.last_sequence < last:
            self.restart(delta.last_sequence)
        elif delta.last_sequence > last:
            self.lost += max(0, previous - last)
            self.seen += delta.last_sequence - max(previous, last)
            self.last = delta.last_sequence

    def note_all(self, deltas: Iterable[DepthDelta], *, begins_anew: bool) -> None:
        """Note updates that came, the first of them with numbers that begin anew."""
        for delta in deltas:
            if begins_anew:
                self.restart(delta.last_sequence)
            begins_anew = False
            self.note(delta)

    def jump(self, sequence: int, *, is_known: bool = False) -> None:
        """Note a whole book in the stream; what lies before it came as no update, unless another connection has it."""
        last = self.last
        if last is not None and sequence > last and not is_known:
            self.lost += sequence - last
        if last is not None and sequence < last:
            self.restart(sequence)
        self.last = sequence

    def begin_anew(self, before: int, sequence: int) -> None:
        """Note that the numbers of a LIVE book begin anew, after all up to one of them came."""
        self.follow(before)
        self.restart(sequence)

    def restart(self, sequence: int) -> None:
        """Note that the numbers begin anew here."""
        self.restarts += 1
        self.last = sequence
