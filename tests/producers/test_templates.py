"""What is learned of a venue's frames: any order of keys, whatever is alike, and nothing that was not read so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from producers.books import templates
from producers.books.templates import FrameTemplates, template_of
from producers.exchanges import EXCHANGES
from producers.messages import DepthDelta, Frame
from producers.sequencing import Continuity, LastUpdate
from tests.producers.both_paths import EACH, compared, of_venue, ordinary

NUMBERS = st.integers(2, 10**12)


def first_update(venue: str) -> tuple[Frame, DepthDelta]:
    """An ordinary frame of a venue and what it is read as."""
    frame = of_venue(venue)[0][ordinary(venue)[0]]
    [delta] = EXCHANGES[venue].parse(frame)
    assert isinstance(delta, DepthDelta)
    return frame, delta


def turned(value: Any) -> Any:
    """JSON with the keys of the object that has the levels in the other order."""
    if isinstance(value, dict):
        has_levels = not value.keys().isdisjoint({"b", "bids"})
        return {key: turned(value[key]) for key in (reversed(value) if has_levels else value)}
    return [turned(each) for each in value] if isinstance(value, list) else value


def written(venue: str, how: Callable[[bytes], bytes]) -> list[Frame]:
    """A venue's frames, the ordinary ones written in another way."""
    frames = list(of_venue(venue)[0])
    for at in ordinary(venue):
        frames[at] = frames[at]._replace(raw=how(frames[at].raw))
    return frames


@EACH
def test_keys_in_another_order_are_learned(venue: str) -> None:
    assert compared(venue, written(venue, lambda raw: orjson.dumps(turned(orjson.loads(raw))))).quick > 50


@EACH
def test_a_field_that_a_venue_adds_is_learned(venue: str) -> None:
    assert compared(venue, written(venue, lambda raw: raw[:-1] + b',"new":{"a":[1.5,null,"x"]}}')).quick > 50


@EACH
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(lambda raw: raw.replace(b":", b": "), id="spaces"),
        pytest.param(lambda raw: raw.replace(b'"data"', b'"\\u0064ata"').replace(b'"a"', b'"\\u0061"'), id="escapes"),
        pytest.param(lambda raw: raw[:-1] + b',"data":1}', id="a key twice"),
        pytest.param(lambda raw: raw + b" ", id="a space behind"),
        pytest.param(lambda raw: raw[:-1] + b',"other":"\xc3\xa4"}', id="not ascii"),
    ],
)
def test_an_unusual_way_to_write_the_same_gives_the_same(venue: str, how: Callable[[bytes], bytes]) -> None:
    compared(venue, [*of_venue(venue)[0][: ordinary(venue)[5]], *written(venue, how)[ordinary(venue)[5] :]])


@EACH
def test_a_frame_that_was_read_as_something_else_teaches_nothing(venue: str) -> None:
    frame, delta = first_update(venue)
    form = EXCHANGES[venue].deltas
    assert form is not None
    assert template_of(frame.raw, delta, form) is not None
    for field in ("last_sequence", "exchange_ns", "previous_sequence", "checksum"):
        assert template_of(frame.raw, replace(delta, **{field: 12_345}), form) is None, field


@EACH
def test_a_template_is_forgotten_once_a_frame_differs(venue: str) -> None:
    frame, delta = first_update(venue)
    form = EXCHANGES[venue].deltas
    assert form is not None
    learned = FrameTemplates(form)
    learned.learn(frame.raw, delta)
    known = learned.find(frame.raw)
    assert known is not None
    assert known.symbol == delta.symbol
    learned.forget(known)
    assert learned.find(frame.raw) is None


def test_what_is_remembered_is_bounded_and_the_newest_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_HEADS", 3)
    frame, delta = first_update("bybit")
    form = EXCHANGES["bybit"].deltas
    assert form is not None
    known = FrameTemplates(form)
    for number in range(8):
        raw = frame.raw.replace(delta.symbol.encode(), b"X%d" % number)
        known.learn(raw, replace(delta, symbol=f"X{number}"))
        assert known.find(raw) is not None
    assert known.find(frame.raw.replace(delta.symbol.encode(), b"X0")) is None


@EACH
@given(sequence=NUMBERS, step=NUMBERS, first=NUMBERS, exchange_ns=NUMBERS)
def test_the_plainest_next_update_is_the_next_one_by_the_rule(
    venue: str, sequence: int, step: int, first: int, exchange_ns: int
) -> None:
    form = EXCHANGES[venue].deltas
    assert form is not None
    last, names_previous = sequence + step, bool(form.previous) and venue != "binance"
    begins = min(first, last) if names_previous or not form.first else sequence + 1
    consecutive = not form.previous
    delta = DepthDelta(
        "X",
        begins if form.first else last,
        sequence + 1 if consecutive else last,
        [],
        [],
        sequence if consecutive or names_previous else None,
        exchange_ns,
    )
    assert EXCHANGES[venue].sequence.follow(delta, LastUpdate(sequence, 1)) is Continuity.NEXT
