"""The report of a recording."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.venue_names import exchange_named
from research.replay import open_replay, require_symbol
from research.verify import verify
from schemas.errors import UsageError
from tests.research.fixtures import SYMBOL, VENUES, frames, replay, script, symbol_of

EACH = pytest.mark.parametrize("venue", VENUES)
KEYS = [
    "state", "reason", "snapshots", "deltas_applied", "deltas_dropped", "duplicates", "gaps", "crossed",
    "checksums_ok", "checksums_bad", "went_beyond", "contradicted", "comparisons", "levels_compared", "levels_wrong",
    "bid_known_bps", "ask_known_bps", "quotes_checked", "quotes_wrong", "last_sequence", "bid_levels", "ask_levels",
    "best_bids", "best_asks",
]  # fmt: skip


@EACH
def test_the_report_is_what_the_recordings_script_says(venue: str) -> None:
    report, expected = verify(replay(venue)), script(venue)
    book = report["instruments"][symbol_of(venue)]

    assert list(report) == ["venue", "seconds", "messages", "rejected", "instruments", "problems"]
    assert list(book) == KEYS
    assert (report["venue"], report["messages"]) == (venue, expected["frames"])
    assert report["rejected"] == expected["rejected"]
    assert (book["state"], book["reason"]) == ("LIVE", None)
    for name in [*KEYS[2:8], "quotes_checked", "quotes_wrong", "last_sequence"]:
        assert book[name] == expected[name], name  # type: ignore[literal-required]
    assert (book["bid_levels"], book["ask_levels"]) == (len(expected["bids"]), len(expected["asks"]))
    for found, true in ((book["best_bids"], expected["bids"]), (book["best_asks"], expected["asks"])):
        assert [(Decimal(p), Decimal(s)) for p, s in found] == [(Decimal(p), Decimal(s)) for p, s in true[:5]]


def test_seconds_are_the_recordings_own(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.jsonl"
    path.write_text('{"received_ns":1000000000,"via":"connect"}\n{"received_ns":3500000000,"via":"disconnect"}\n')
    report = verify(open_replay(path, EXCHANGES["binance"], Settings()))
    assert (report["venue"], report["seconds"], report["messages"]) == ("binance", 2.5, 0)
    assert report["problems"] == ["it holds no book"]


def test_a_recording_that_ends_broken_says_so_and_shows_the_last_levels_known(tmp_path: Path) -> None:
    lines = frames("binance").read_bytes().splitlines(keepends=True)
    cut = next(number for number, line in enumerate(lines) if b'"disconnect"' in line)
    path = tmp_path / "cut.frames.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(lines[: cut + 1])))

    book = verify(open_replay(path, EXCHANGES["binance"], Settings()))["instruments"][SYMBOL]

    assert (book["state"], book["reason"]) == ("INVALID", "disconnect")
    assert book["bid_levels"] > 0


def test_a_book_that_never_was_has_no_levels(tmp_path: Path) -> None:
    lines = [line for line in frames("binance").read_bytes().splitlines(keepends=True) if b'"rest"' not in line]
    path = tmp_path / "cut.frames.jsonl"
    path.write_bytes(b"".join(lines[:40]))

    book = verify(open_replay(path, EXCHANGES["binance"], Settings()))["instruments"][SYMBOL]

    assert (book["state"], book["last_sequence"], book["best_bids"]) == ("AWAITING_SNAPSHOT", None, [])


def test_an_unknown_venue_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean binance-futures"):
        exchange_named("binance-future")
    with pytest.raises(UsageError, match=f"there are {', '.join(VENUES)}"):
        exchange_named("xyzzy")


def test_an_unknown_symbol_names_what_there_is() -> None:
    with pytest.raises(UsageError, match=f"it holds {SYMBOL}"):
        require_symbol(replay("binance").found, "NOPE", frames("binance"))
