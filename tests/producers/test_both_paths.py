"""The compiled path gives what the readable one does: the same bytes, letters, counts and books, whatever comes in."""

from __future__ import annotations

import json
import os
import random
import re
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.books.kernel.trial import trial
from producers.exchanges import EXCHANGES
from producers.messages import Frame, Via
from producers.recordings.opened import open_recording
from producers.recordings.reader import scan
from tests.producers.both_paths import EACH, BothPaths, compared, of_venue, ordinary

NUMBERS = re.compile(rb"[0-9.]+")
ODD = (
    *(
        b"0",
        b"1e5",
        b"-1",
        b"+1",
        b"01",
        b"1.",
        b".5",
        b"1 ",
        b"0.000",
        b"1_0",
        b"NaN",
        b"",
        b'"',
        b"null",
        b"[]",
        b"1.5",
    ),
    *(b"9" * 18, b"9" * 19, b"9" * 25, b"0" * 17 + b"1", b"0" * 41, b"0." + b"0" * 17 + b"1", b"1." + b"0" * 37),
    *(
        b"1." + b"0" * 39,
        b"0.123456789012345678901",
        b"9007199254740993",
        b"0.1234567890123456",
        b"\\u0031",
        b"\xd9\xa1",
    ),
)
"""Numbers that one of two readers could take and the other not."""

FRAMES_OF_A_RECORDING = None if os.environ.get("OBFLOW_FUZZ") == "all" else 20_000
"""Its first ones; `make fuzz` plays all of them."""


def with_number(raw: bytes, choose: random.Random) -> bytes:
    """Put something odd in a number's place."""
    found = list(NUMBERS.finditer(raw))
    if not found:
        return raw
    at = choose.choice(found)
    return raw[: at.start()] + choose.choice(ODD) + raw[at.end() :]


def with_bytes(raw: bytes, choose: random.Random) -> bytes:
    """Cut, double or change a few bytes."""
    start = choose.randrange(len(raw) + 1)
    end = min(len(raw), start + choose.randrange(4))
    new = choose.choice((b"", raw[start:end] * 2, bytes([choose.randrange(256)]), b" ", b",", b"]", b'"'))
    return raw[:start] + new + raw[end:]


@EACH
def test_all_frames_of_the_fixtures_give_the_same(venue: str) -> None:
    both = compared(venue, of_venue(venue)[0])
    assert both.quick > 50


@EACH
@given(data=st.data())
@settings(max_examples=25)
def test_frames_that_are_damaged_doubled_dropped_or_late_give_the_same(venue: str, data: st.DataObject) -> None:
    choose = random.Random(data.draw(st.integers(0, 2**32)))
    often, frames = data.draw(st.sampled_from((0.01, 0.1, 0.5))), list[Frame]()
    for frame in of_venue(venue)[0]:
        if choose.random() > often or frame.via not in (Via.WS, Via.REST):
            frames.append(frame)
            continue
        what = choose.randrange(6)
        if what < 2:
            frames.append(frame._replace(raw=(with_number, with_bytes)[what](frame.raw, choose)))
        elif what == 2:
            frames += [frame, frame]
        elif what == 3:
            frames.insert(max(0, len(frames) - 2), frame)
        elif what == 4:
            frames.append(frame._replace(received_ns=frame.received_ns - 10**9))
    compared(venue, frames)


@EACH
@given(data=st.data())
@settings(max_examples=25)
def test_an_odd_number_in_any_place_of_an_update_gives_the_same(venue: str, data: st.DataObject) -> None:
    frames, instruments = of_venue(venue)
    choose = random.Random(data.draw(st.integers(0, 2**32)))
    at = data.draw(st.sampled_from(ordinary(venue)[:20]))
    both = BothPaths(EXCHANGES[venue], instruments)
    both.feed([*frames[:at], frames[at]._replace(raw=with_number(frames[at].raw, choose)), *frames[at : at + 5]])
    both.compare()


@EACH
def test_every_cut_of_an_update_gives_the_same(venue: str) -> None:
    frames, instruments = of_venue(venue)
    first = ordinary(venue)[0]
    whole = frames[first].raw
    both = BothPaths(EXCHANGES[venue], instruments)
    both.feed([*frames[:first], *(frames[first]._replace(raw=whole[:end]) for end in range(len(whole)))])
    both.feed(frames[first:])
    both.compare()


@pytest.mark.case("overlapping-update")
def test_an_update_that_begins_within_the_book_is_applied_on_either_path() -> None:
    venue = "binance"
    frames, instruments = of_venue(venue)
    both, begun, overlapping = BothPaths(EXCHANGES[venue], instruments), dict[str, dict[str, int]](), 0
    for at, frame in enumerate(frames):
        if at in ordinary(venue)[:40]:
            told = json.loads(frame.raw)
            before = begun.get(told["data"]["s"], {})
            begun[told["data"]["s"]] = {"U": told["data"]["U"]}
            frame = frame._replace(raw=json.dumps({**told, "data": {**told["data"], **before}}).encode())
            overlapping += bool(before)
        both.feed([frame])
    both.compare()
    assert overlapping > 20
    plain = compared(venue, frames).checked.streams
    for symbol, stream in both.checked.streams.items():
        assert stream.counters == plain[symbol].counters
        assert stream.book.arrays() == plain[symbol].book.arrays()


@pytest.mark.parametrize("venue", ["binance", "binance-futures", "binance-delivery"])
@pytest.mark.case("zero-quote")
def test_a_side_that_empties_gives_the_same_whatever_quotes_say_of_it(venue: str) -> None:
    frames, instruments = of_venue(venue)
    at, both = ordinary(venue)[6], BothPaths(EXCHANGES[venue], instruments)
    both.feed(frames[:at])
    told = json.loads(frames[at].raw)["data"]
    stream = both.checked.streams[told["s"]]
    assert stream.tracked.grid is not None
    prices = [stream.tracked.grid.price_text(ticks) for ticks, _ in stream.book.top_asks(10_000)]
    emptied = {**told, "b": [], "a": [[price, "0"] for price in prices]}
    quote = {"e": "bookTicker", "u": told["u"], "s": told["s"], "b": "1", "B": "1", "a": "0", "A": "0"}
    both.feed(frames[at]._replace(raw=json.dumps(event).encode()) for event in (emptied, quote))
    assert (stream.is_live, stream.book.best_ask) == (True, None)
    both.feed(frames[at + 1 :])
    both.compare()


@pytest.mark.recorded
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["binance-futures/BTC", "binance/BTC", "bybit/XRP", "bybit/orderbook1", "okx", "deribit"]
)
def test_every_frame_of_a_recording_gives_the_same(name: str, recordings: Path) -> None:
    venue, _, begins = name.partition("/")
    [path] = (recordings / venue).glob(f"{begins}*.frames.jsonl.gz")
    source, reader = open_recording(path, EXCHANGES[venue])
    both = BothPaths(reader, scan(source, reader).instruments)
    both.feed(islice(source.frames(), FRAMES_OF_A_RECORDING))
    both.compare()
    applied = sum(stream.counters.deltas_applied for stream in both.checked.streams.values())
    assert both.quick >= applied * 0.85


def test_the_engine_is_tried_before_it_is_used() -> None:
    assert trial() == ""
