"""What the log gives, computed anew, against what rows are said to hold."""

from __future__ import annotations

from obflow.whole_log import Logged
from research.contents import ContentVerdict, StoredContent, _judge, computed_digests
from research.replay import FactorReplay
from schemas.codec import encode
from schemas.digest import digest
from schemas.messages import FactorEvent, InstrumentKey, L2Record
from tests.processors.feed import ENGINE
from tests.research.fixtures import replay

VENUE = "binance"


def logged(partition: int = 3) -> list[Logged]:
    """The book log of a recording, with bytes in it that are no record."""
    records = [record for record in replay(VENUE).records() if isinstance(record, L2Record)]
    log = [Logged(partition, offset, encode(record)) for offset, record in enumerate(records)]
    return [Logged(partition, 10_000, b"bad"), *log, Logged(partition, 10_001, b"")]


def events() -> dict[InstrumentKey, list[FactorEvent]]:
    found: dict[InstrumentKey, list[FactorEvent]] = {}
    for instrument, event in FactorReplay(replay(VENUE), ENGINE):
        found.setdefault(instrument, []).append(event)
    return found


def stored(events: list[FactorEvent], partition: int = 3) -> StoredContent:
    return StoredContent(digest(events), frozenset((partition, event.source_offset) for event in events))


def test_what_a_replay_in_memory_gives_the_log_gives_too() -> None:
    rows = {key: stored(found) for key, found in events().items()}
    assert rows
    computed = computed_digests(logged(), rows, ENGINE)
    assert {key: row.hexdigest for key, row in rows.items()} == computed


def test_only_what_is_stored_is_judged() -> None:
    rows = {key: stored(found[::2]) for key, found in events().items()}
    computed = computed_digests(logged(), rows, ENGINE)
    assert {key: row.hexdigest for key, row in rows.items()} == computed


def test_a_row_that_the_log_does_not_give_is_a_difference() -> None:
    rows = {key: stored(found) for key, found in events().items()}
    for key, row in rows.items():
        elsewhere = StoredContent(row.hexdigest, frozenset((9, offset) for _, offset in row.places))
        assert computed_digests(logged(), {key: elsewhere}, ENGINE)[key] != row.hexdigest


def test_a_log_whose_beginning_is_gone_says_nothing_about_its_instruments() -> None:
    row = StoredContent("a", frozenset({(3, 7)}))
    assert [_judge(row, "a", set()), _judge(row, "b", {4}), _judge(row, "a", {3})] == [
        ContentVerdict.EQUAL,
        ContentVerdict.DIFFERENT,
        ContentVerdict.UNKNOWN,
    ]
