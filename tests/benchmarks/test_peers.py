"""From the bytes of a depth frame to the encoded record, beside tardis-node's book change of the same frames.

`make bench-peers` runs it; what was measured is in docs/benchmarks.md. Rounds of both and of `orjson.loads` alternate,
and the median of each counts. It says who is ahead and asserts nothing of that: only that both saw the same levels.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from obflow.settings import Settings
from producers.books.records import payload_of
from producers.messages import Frame
from schemas.codec import decode_as
from schemas.messages import L2Record
from tests.benchmarks.peers.compared import DIFFERENT, Figures, change_of, differences, sentence, table
from tests.benchmarks.peers.install import folder_of, is_ready
from tests.benchmarks.peers.tardis_node import Change, Played, as_live_feed, tardis_node, with_its_depth
from tests.benchmarks.test_kernel import told
from tests.benchmarks.test_producer import (
    VENUES,
    NewRouter,
    Session,
    alternate,
    compiled,
    loaded,
    played,
    plays,
    session,
)

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1200)]

LEAST_FRAMES = 10_000
"""Timed in a round: in short ones the collector of Node comes in some and not in others."""


@pytest.fixture(scope="module")
def peer() -> Path:
    """The folder of tardis-node."""
    cache = Settings.load().cache
    if not is_ready(cache):
        pytest.skip("tardis-node is not in obflow's cache: `make bench-peers` fetches it")
    return folder_of(cache)


@pytest.fixture(scope="module")
def figures() -> Generator[list[Figures]]:
    """Figures of all venues, told as a table at the end."""
    found = list[Figures]()
    yield found
    told(f"\n{table(found)}\n\n{DIFFERENT}")


@pytest.mark.parametrize("name", VENUES)
def test_a_depth_frame_to_its_record_beside_tardis_node(
    name: str, recordings: Path, peer: Path, figures: list[Figures]
) -> None:
    found = under_its_topics(session(recordings, name))
    router = compiled(found)
    times = plays(found, LEAST_FRAMES)
    ours = played(found, router, times)
    ours()
    changes = changes_of(found, router)
    with tardis_node(peer, found.venue, for_the_peer(found), times=times) as theirs:
        different = differences(changes, theirs.changes())
        assert different[:3] == []
        unit, mine, other = alternate(loaded(found, times), ours, theirs.round)
        levels = sum(change.levels for of_frame in changes for change in of_frame)
        assert {(one.frames, one.levels) for one in theirs.rounds} == {(len(found.updates), levels)}
        figures.append(Figures(name, len(found.updates), levels, unit, mine, other))
    told(sentence(figures[-1]))


def under_its_topics(found: Session) -> Session:
    before, updates = ([with_its_depth(frame) for frame in frames] for frames in (found.before, found.updates))
    return found._replace(before=before, updates=updates)


def for_the_peer(found: Session) -> Played:
    symbol = next(iter(found.instruments))

    def given(frame: Frame) -> bytes:
        return as_live_feed(frame, found.venue, symbol)

    return Played([given(frame) for frame in found.before], [given(frame) for frame in found.updates])


def changes_of(found: Session, router: NewRouter) -> list[list[Change]]:
    """What the records say that are timed, read from their bytes."""
    one = router()
    for frame in found.before:
        one.handle(frame)
    return [
        [change_of(decode_as(L2Record, payload_of(record))) for record in one.handle(frame).records]
        for frame in found.updates
    ]
