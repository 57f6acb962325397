"""What is known of each venue's frames holds for all there are of them, and what changes in one is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.exchanges import EXCHANGES
from producers.messages import Via
from producers.recordings.opened import open_recording
from producers.shapes import LONGEST, MANY, MOST_TOLD, ZEROS, Change, Noticed, ShapeSentinel, leaves
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording import SimulatedRecording
from producers.simulator.venues import SIMULATED
from producers.tardis.stream import SHAPES
from tests.contract.test_exchanges import FIXTURES
from tests.contract.test_simulated_venues import START_NS

EACH = pytest.mark.parametrize("venue", EXCHANGES)


def sentinel(venue: str) -> ShapeSentinel:
    return ShapeSentinel(EXCHANGES[venue].shapes)


def simulated(venue: str, seconds: float = 3.0) -> list[bytes]:
    """Frames of its simulated books and derivatives."""
    plays = SIMULATED[venue]
    exchange = SimulatedExchange(plays, plays.listed[:3], start_ns=START_NS, changes_per_second=100.0)
    return [
        frame.raw.encode() for frame in SimulatedRecording(exchange, seconds, derivatives=True) if frame.via == "ws"
    ]


def of_each_kind(venue: str) -> dict[str, Any]:
    """One data frame of each kind that is simulated."""
    watch, found = sentinel(venue), dict[str, Any]()
    for raw in simulated(venue):
        body = json.loads(raw)
        if (kind := watch.kind_of(body)) in EXCHANGES[venue].shapes.kinds:
            found.setdefault(kind, body)
    return found


def recorded(path: Path, venue: str) -> Iterator[bytes]:
    for frame in open_recording(path, EXCHANGES[venue])[0].frames():
        if frame.via is Via.WS:
            yield frame.raw


def noticed(venue: str, frames: Iterable[bytes]) -> list[Noticed]:
    watch = sentinel(venue)
    return [one for raw in frames for one in watch.look(raw)]


def said(body: object) -> bytes:
    return json.dumps(body).encode()


@EACH
def test_nothing_is_noticed_in_frames_as_the_simulator_makes_them(venue: str) -> None:
    assert noticed(venue, simulated(venue, 10)) == []
    assert len(of_each_kind(venue)) >= 2


@EACH
def test_nothing_but_damage_is_noticed_in_the_fixtures(venue: str) -> None:
    """Each holds frames that cannot be used, of which a field may be missing; XYZ is a stranger."""
    frames = [raw for raw in recorded(FIXTURES / venue / "frames.jsonl", venue) if b"XYZ" not in raw]
    assert {one.change for one in noticed(venue, frames)} <= {Change.MISSING}


@pytest.mark.recorded
@pytest.mark.parametrize(
    "name",
    [
        "binance-futures/BTCUSDT-20240808",
        "binance/BTCUSDT-20240808",
        "bybit/XRPUSDT-orderbook500-20241201",
        "bybit/orderbook1-20250816",
        "okx/books-20220513",
        "deribit/options-20210722",
    ],
)
def test_nothing_is_noticed_in_what_was_recorded(name: str, recordings: Path) -> None:
    venue, path = name.split("/")[0], recordings / f"{name}.frames.jsonl.gz"
    assert noticed(venue, recorded(path, venue)) == []


@pytest.mark.recorded
def test_nothing_is_noticed_in_what_a_tardis_machine_says(recordings: Path) -> None:
    watch = ShapeSentinel(SHAPES)
    for path in (recordings / "tardis" / "machine").glob("*.json"):
        assert watch.look(path.read_bytes()) == []
    strange = {"type": "trade", "exchange": "deribit", "price": 1, "who": "x", "bids": [{"price": 1}]}
    assert {one.change for one in watch.look(said(strange))} == {Change.NEW, Change.MISSING}


@EACH
def test_a_field_that_is_new_is_told_once_and_counted_each_time(venue: str) -> None:
    for kind, body in of_each_kind(venue).items():
        watch = sentinel(venue)
        told = [watch.look(said({**body, "surprise": 1})) for _ in range(3)]
        assert told == [[Noticed(kind, "surprise", Change.NEW)], [], []]
        assert watch.counts == {Noticed(kind, "surprise", Change.NEW): 3}


@EACH
def test_each_field_that_is_always_there_is_missed(venue: str) -> None:
    """But for the one that tells the kind."""
    shapes = EXCHANGES[venue].shapes
    for kind, body in of_each_kind(venue).items():
        always = {f"{shapes.kinds[kind].within}.{name}" for name in shapes.kinds[kind].always.split()}
        for path in always | set(shapes.envelope.split()) - {shapes.named_by}:
            assert Noticed(kind, path, Change.MISSING) in sentinel(venue).look(said(without(body, path))), path


def without(body: Any, path: str) -> Any:
    """A frame of which one field is gone, with whatever else the first element of a list has."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    if not rest:
        return {key: value for key, value in body.items() if key != name}
    if head.endswith("[]"):
        return {**body, name: [without(each, rest) for each in body[name]]}
    return {**body, name: without(body[name], rest)}


@EACH
def test_a_number_that_is_zero_in_every_frame_is_told_and_one_that_moves_is_not(venue: str) -> None:
    shapes = EXCHANGES[venue].shapes
    for kind, body in of_each_kind(venue).items():
        for name in shapes.kinds[kind].moving.split():
            path = f"{shapes.kinds[kind].within}.{name}"
            if path not in dict(leaves(body)):
                continue
            still = said(zeroed(body, path))
            watch, moves = sentinel(venue), sentinel(venue)
            moves.look(said(body))
            told = [one for _ in range(ZEROS) for one in watch.look(still)]
            assert told == [Noticed(kind, path, Change.ZERO)]
            assert [one for _ in range(2 * ZEROS) for one in moves.look(still)] == []


def zeroed(body: Any, path: str) -> Any:
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    if not rest:
        return {**body, name: "0.00"}
    if head.endswith("[]"):
        return {**body, name: [zeroed(each, rest) for each in body[name]]}
    return {**body, name: zeroed(body[name], rest)}


@EACH
@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"stream":1,"topic":[],"params":7}', b"[" * 100_000]
)
def test_what_is_no_data_frame_is_passed_over(venue: str, raw: bytes) -> None:
    assert sentinel(venue).look(raw) == []


@EACH
def test_names_that_somebody_else_chooses_are_bounded_in_number_and_length(venue: str) -> None:
    watch = sentinel(venue)
    body = next(iter(of_each_kind(venue).values()))
    told = [one for number in range(200) for one in watch.look(said({**body, f"{number}" + "x" * 10_000: 1}))]
    assert len(told) == MOST_TOLD + 1
    assert told[-1] == Noticed(MANY, MANY, Change.NEW)
    assert sum(watch.counts.values()) == 200
    assert all(len(one.field) <= LONGEST for one in told)


@EACH
def test_parts_within_parts_are_gone_into_so_far_and_no_farther(venue: str) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = {"in": deep}
    body = next(iter(of_each_kind(venue).values()))
    [one] = sentinel(venue).look(said({**body, "deep": deep}))
    assert one.field.count(".in") == one.field.count(".") <= 6


@EACH
def test_a_number_of_any_size_is_no_trouble(venue: str) -> None:
    kind, body = next(
        (kind, body) for kind, body in of_each_kind(venue).items() if EXCHANGES[venue].shapes.kinds[kind].moving
    )
    path = f"{EXCHANGES[venue].shapes.kinds[kind].within}.{EXCHANGES[venue].shapes.kinds[kind].moving.split()[0]}"
    text = json.dumps(zeroed(body, path)).replace('"0.00"', "1" + "0" * 400)
    assert sentinel(venue).look(text.encode()) == []
