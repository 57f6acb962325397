"""Of producers that start together one goes on, in whatever order their claims reach the log and are read."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.contest import Contest, Word
from tests.support.tiers import fourth_of

Log = dict[str, list[Word]]
"""What is said of each instrument, in order."""


@dataclass
class Candidate:
    """A producer as the log and the others know it: it claims, reads, and then begins or gives way."""

    run: str
    symbols: tuple[str, ...]
    log: Log
    fate: str = "claiming"
    unsaid: list[str] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.contest = Contest(self.run, self.symbols)
        self.unsaid = list(self.symbols)

    def say(self, symbol: str, *, farewell: bool = False) -> None:
        self.log.setdefault(symbol, []).append(Word(symbol, self.run, farewell))

    def step(self, symbol: str) -> None:
        """Claim an instrument, or once the broker has all of its claims, read the next word of it."""
        if symbol in self.unsaid:
            self.unsaid.remove(symbol)
            self.say(symbol)
        elif not self.unsaid:
            self.hear(symbol)

    def hear(self, symbol: str) -> None:
        """Read the next word of one instrument, and act on it."""
        if self.fate == "gone" or self.read.get(symbol, 0) == len(self.log.get(symbol, [])):
            return
        word = self.log[symbol][self.read.get(symbol, 0)]
        self.read[symbol] = self.read.get(symbol, 0) + 1
        self.contest.hear(word)
        if self.contest.lost_to is not None:
            self.fate = "gone"
            for each in self.symbols:
                self.say(each, farewell=True)
        elif self.fate == "claiming" and self.contest.may_begin:
            self.fate = "begun"
            self.contest.begin()
            self.beat()

    def beat(self) -> None:
        if self.fate == "begun":
            for symbol in self.symbols:
                self.say(symbol)


def settle(candidates: list[Candidate]) -> None:
    """Everybody reads to the end, and says that it is alive where it has begun."""
    for _ in range(4):
        for candidate in candidates:
            for symbol in candidate.unsaid[:]:
                candidate.step(symbol)
        for candidate in candidates:
            for symbol in candidate.symbols:
                for _ in range(100):
                    candidate.hear(symbol)
        for candidate in candidates:
            candidate.beat()


SYMBOLS = ("A", "B", "C")


@st.composite
def starts(draw: st.DrawFn, *, alike: bool) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
    """Producers, and in which order their claims are written and what is written is read."""
    runs = draw(st.lists(st.integers(0, 99), min_size=2, max_size=4, unique=True))
    some = st.sets(st.sampled_from(SYMBOLS), min_size=1).map(sorted)
    common = draw(some)
    log: Log = {}
    candidates = [Candidate(f"{run:02d}", tuple(common if alike else draw(some)), log) for run in runs]
    steps = [(one, symbol) for one in candidates for symbol in one.symbols for _ in range(1 + 2 * len(candidates))]
    return candidates, draw(st.permutations(steps))


@settings(max_examples=fourth_of(500))
@given(start=starts(alike=True))
def test_exactly_one_of_those_that_start_together_begins(
    start: tuple[list[Candidate], list[tuple[Candidate, str]]],
) -> None:
    candidates, steps = start
    for candidate, symbol in steps:
        candidate.step(symbol)
        assert [one.fate for one in candidates].count("begun") <= 1
    settle(candidates)

    assert sorted(one.fate for one in candidates) == ["begun", *["gone"] * (len(candidates) - 1)]


@settings(max_examples=fourth_of(500))
@given(start=starts(alike=False))
def test_no_instrument_has_two_producers_and_somebody_always_begins(
    start: tuple[list[Candidate], list[tuple[Candidate, str]]],
) -> None:
    candidates, steps = start
    for candidate, symbol in steps:
        candidate.step(symbol)
        produced = [each for one in candidates if one.fate == "begun" for each in one.symbols]
        assert len(set(produced)) == len(produced)
    settle(candidates)

    assert {one.fate for one in candidates} in ({"begun"}, {"begun", "gone"})


def test_alone_it_begins_once_it_has_read_its_own_claims() -> None:
    contest = Contest("5", ["A", "B"])
    contest.hear(Word("A", "5", farewell=False))
    assert not contest.may_begin
    contest.hear(Word("B", "5", farewell=False))
    assert contest.may_begin


def test_a_lower_run_that_was_there_first_goes_on() -> None:
    contest = Contest("5", ["A"])
    contest.hear(Word("A", "4", farewell=False))
    assert contest.lost_to == Word("A", "4", farewell=False)


@pytest.mark.parametrize(("answer", "begins"), [("farewell", True), ("silence", True), ("word", False)])
def test_a_higher_run_that_was_there_first_is_waited_for(answer: str, begins: bool) -> None:
    contest = Contest("5", ["A"])
    for word in (Word("A", "6", farewell=False), Word("A", "5", farewell=False)):
        contest.hear(word)
    assert (contest.may_begin, contest.lost_to, contest.suspects) == (False, None, 1)
    if answer == "silence":
        contest.forget_the_silent()
    else:
        contest.hear(Word("A", "6", farewell=answer == "farewell"))
    assert (contest.may_begin, contest.lost_to is None) == (begins, begins)


@pytest.mark.parametrize(("rival", "gives_way"), [("4", True), ("6", False), ("", True)])
def test_of_two_that_have_begun_the_higher_run_gives_way(rival: str, gives_way: bool) -> None:
    """One of them slept, so that the other took it for dead. A version that tells no run gives way to nobody."""
    contest = Contest("5", ["A"])
    contest.hear(Word("A", "5", farewell=False))
    contest.begin()
    contest.hear(Word("A", rival, farewell=False))
    assert contest.lost_to is None, "a claim alone: it will read ours"
    contest.hear(Word("A", rival, farewell=False))
    assert (contest.lost_to is not None) == gives_way
