"""Seeds over every venue's rules: whatever is injected, what is missing shows within one message, and books heal.

`make test` plays a slice and prints its seeds; `OBFLOW_FUZZ=all` (`make fuzz`) plays 10,000. One seed alone:
`OBFLOW_SEED=1234 pytest tests/producers/test_feed_seeds.py`.
"""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from producers.messages import DepthDelta
from producers.sequencing import Alignment, Continuity, LastUpdate, SequencedUpdate
from producers.simulator.contract import SimulatedVenue
from producers.simulator.venues import SIMULATED
from tests.producers.seeded_feed import SeededFeed
from tests.producers.seeded_plan import PLAYED, Fault, Happening, plan_of, venue_of
from tests.support.feed_seeds import SLICE, describe_seeds, feed_seeds

UNTIL_S, HEALED_WITHIN_S = 2.4, 16.0
FOUND = ("follows", "gap", "repeats", "whole", "cut", "number", "checksum", "delisted", "requests_refused")


def played(seed: int) -> Counter[str]:
    """Play a seed to its end; what came and what was found."""
    feed = SeededFeed(venue_of(seed), seed, plan_of(seed))
    feed.play(UNTIL_S)
    feed.heal(HEALED_WITHIN_S)
    for symbol, stream in feed.router.streams.items():
        assert stream.is_live, (symbol, stream.reason)
        assert feed.is_true(stream), symbol
        assert feed.counts_its_losses(stream), (symbol, stream.advance())
    if not plan_of(seed):
        raised = [
            (counters.gaps, counters.duplicates, counters.contradicted, counters.crossed, counters.went_beyond)
            for counters in (stream.counters for stream in feed.router.streams.values())
        ]
        assert raised == [(0, 0, 0, 0, 0)] * len(feed.symbols)
        assert not feed.router.rejected
        assert {stream.counters.snapshots for stream in feed.router.streams.values()} == {1}
    return feed.counted


def test_in_every_seed_what_is_missing_shows_with_the_next_message_and_books_heal() -> None:
    found: dict[str, Counter[str]] = {}
    failed: list[str] = []
    for seed in feed_seeds():
        venue = venue_of(seed)
        name = f"{venue.name} with checksums" if venue.rules.summed_levels else venue.name
        try:
            found.setdefault(name, Counter()).update(played(seed))
        except AssertionError as error:
            failed.append(f"OBFLOW_SEED={seed} ({name}): {error}\n  {plan_of(seed)}")
    told = sum(found.values(), Counter())
    sys.stdout.write(f"seeds {describe_seeds()}\n" + "".join(f"{name}: {dict(found[name])}\n" for name in found))
    assert not failed, "\n".join(failed)
    if len(feed_seeds()) >= SLICE:
        assert len(found) == len(PLAYED)
        assert not [fault for fault in Fault if not told[fault.name]]
        assert not [kind for kind in FOUND if not told[kind]]


class _Believing:
    """A rule that finds nothing missing."""

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        return Alignment.STALE if delta.last_sequence < snapshot_sequence else Alignment.BRIDGES

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        return Continuity.NEXT if delta.last_sequence > last.sequence else Continuity.DUPLICATE


@pytest.mark.parametrize("venue", SIMULATED.values(), ids=lambda venue: venue.name)
def test_a_rule_that_misses_a_gap_fails_a_seed(venue: SimulatedVenue) -> None:
    feed = SeededFeed(venue, 1, [Happening(800, Fault.GAP, 0, 0.5)])
    for stream in feed.router.streams.values():
        stream._chain._rule = _Believing()
    with pytest.raises(AssertionError, match="gap"):
        feed.play(1.4)
