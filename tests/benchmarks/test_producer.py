"""From the bytes of a depth frame to the encoded record, beside `orjson.loads` of the same frames, in one run.

`make bench` runs it; what was measured is in docs/benchmarks.md. The whole way of a producer counts: reading the frame,
its place in the sequence, ticks and lots, the book, the checks of it, and Avro. Rounds of all alternate, and the median
of each counts. A bar that is not met is said, and fails nothing: the machine does other work, too.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import orjson
import pytest

from producers.books.kernel.engine import CompiledDeltas
from producers.books.options import StreamOptions
from producers.books.records import payload_of
from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.messages import DepthDelta, DepthSnapshot, Frame, Instrument, Via
from producers.recordings.opened import open_recording
from producers.recordings.reader import scan
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording import RecordedFrame, SimulatedRecording
from producers.simulator.venues import simulated_venue
from schemas.messages import Kind, L2Record
from tests.benchmarks.test_kernel import told, verdict

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1200)]

ROUNDS = 7
LEAST_FRAMES = 1_500
"""Timed in a round: a short recording is played as often as that takes."""
MOST_FRAMES = 3_000
RATIO = 2.2
START_NS = 1_704_067_200 * 10**9
NEVER_NS = 10**18
"""No routine snapshots: one a minute is a record of its own."""
OPTIONS = StreamOptions(epoch_floor=1, routine_snapshot_ns=NEVER_NS)
RECORDED = {
    "binance-futures": "binance-futures/BTCUSDT-20240808",
    "binance": "binance/BTCUSDT-20240808",
    "bybit": "bybit/XRPUSDT-orderbook500-20241201",
    "okx": "okx/books-20220513",
    "deribit": "deribit/options-20210722",
}
LIKE = {"binance-delivery": "binance-futures", "bybit-spot": "bybit"}
"""Of these nothing is recorded: their frames look as those of another venue of their family."""
SHORT = ("bybit", "bybit-spot", "okx without checksums", "deribit")
"""What is recorded of these is short: measured on frames, too, that the simulator writes in the venue's form."""
VENUES = (*RECORDED, *LIKE, "okx without checksums", *(f"{name} simulated" for name in SHORT))
SIMULATED_S = 80.0
NewRouter = Callable[[], FrameRouter]


class Session(NamedTuple):
    """What a recording holds of depth: the frames up to where each book is LIVE, and the updates after that."""

    venue: str
    instruments: Mapping[str, Instrument]
    before: Sequence[Frame]
    updates: Sequence[Frame]


def session(recordings: Path, name: str) -> Session:
    """Read the depth of a venue's recording, its frames as the venue sends them today."""
    venue = name.partition(" ")[0]
    if name.endswith(" simulated"):
        simulated = SimulatedExchange(simulated_venue(venue), simulated_venue(venue).listed[:3], start_ns=START_NS)
        frames = [made(line) for line in SimulatedRecording(simulated, SIMULATED_S)]
        instruments = {
            one.symbol: Instrument(venue, one.symbol, one.tick_size, one.lot_size) for one in simulated.specs.values()
        }
        return session_of(venue, instruments, frames)
    recorded = LIKE.get(venue, venue)
    source, _ = open_recording(recordings / f"{RECORDED[recorded]}.frames.jsonl.gz", EXCHANGES[recorded])
    frames = [rewritten(frame, name) for frame in source.frames()]
    instruments = {
        symbol.replace("BTCUSDT", "BTCUSD_PERP") if venue == "binance-delivery" else symbol: instrument
        for symbol, instrument in scan(source, EXCHANGES[recorded]).instruments.items()
    }
    named = {symbol: one._replace(venue=venue, symbol=symbol) for symbol, one in instruments.items()}
    return session_of(venue, named, frames)


def made(line: RecordedFrame) -> Frame:
    """Give a frame of the simulator."""
    return Frame(line.received_ns, Via(line.via), line.connection, line.request, line.raw.encode())


def session_of(venue: str, instruments: Mapping[str, Instrument], frames: Sequence[Frame]) -> Session:
    """Find where every book is LIVE, and the updates after that."""
    depth = [frame for frame in frames if is_depth(venue, frame)]
    router = FrameRouter(EXCHANGES[venue], instruments)
    live = 0
    while not all(stream.is_live for stream in router.streams.values()):
        router.handle(depth[live])
        live += 1
    after = [frame for frame in depth[live:] if frame.via is Via.WS][:MOST_FRAMES]
    return Session(venue, instruments, depth[:live], list(takewhile(partial(gives_a_delta, router), after)))


def gives_a_delta(router: FrameRouter, frame: Frame) -> bool:
    """Whether a frame becomes a record: once a best price is not known, nothing does."""
    kinds = [record.kind for record in router.handle(frame).records if isinstance(record, L2Record)]
    return Kind.DELTA in kinds and Kind.INVALID not in kinds


def rewritten(frame: Frame, name: str) -> Frame:
    """Give a frame as a venue writes it of which there is no recording."""
    raw = frame.raw
    if name == "binance-delivery":
        raw = raw.replace(b'"s":"BTCUSDT"', b'"s":"BTCUSD_PERP","ps":"BTCUSD"').replace(b"btcusdt@", b"btcusd_perp@")
    elif name == "okx without checksums":
        book = orjson.loads(raw) if raw[:1] == b"{" else {}
        if "action" in book:
            book["data"][0]["checksum"] = 0
            raw = orjson.dumps(book)
    return frame._replace(raw=raw)


def is_depth(venue: str, frame: Frame) -> bool:
    if frame.via not in (Via.WS, Via.REST):
        return False
    return any(isinstance(message, DepthDelta | DepthSnapshot) for message in EXCHANGES[venue].parse(frame))


def plays(session: Session, least_frames: int = LEAST_FRAMES) -> int:
    """How often a round plays the updates, so that these are enough."""
    return -(-least_frames // len(session.updates))


def checked(session: Session) -> NewRouter:
    """Make routers that read every frame in Python."""
    return lambda: FrameRouter(EXCHANGES[session.venue], session.instruments, OPTIONS)


def compiled(session: Session) -> NewRouter:
    """Make routers of one engine, as a producer has one: it goes on knowing how frames look."""
    venue = EXCHANGES[session.venue]
    assert venue.deltas is not None
    engine = CompiledDeltas(venue.deltas)
    return lambda: FrameRouter(venue, session.instruments, OPTIONS, engine=lambda _: engine)


def played(session: Session, router: NewRouter, times: int) -> Callable[[], float]:
    """CPU seconds that the updates take; a book for each time that they are played."""

    def run() -> float:
        spent = 0.0
        for _ in range(times):
            one = router()
            for frame in session.before:
                one.handle(frame)
            began = time.process_time()
            for frame in session.updates:
                for record in one.handle(frame).records:
                    payload_of(record)
            spent += time.process_time() - began
        return spent / (times * len(session.updates))

    return run


def loaded(session: Session, times: int) -> Callable[[], float]:
    """CPU seconds of the yardstick, a frame."""

    def run() -> float:
        began = time.process_time()
        for _ in range(times):
            for frame in session.updates:
                orjson.loads(frame.raw)
        return (time.process_time() - began) / (times * len(session.updates))

    return run


def alternate(*works: Callable[[], float]) -> list[float]:
    """The median round of each, without the collector."""
    rounds = list[list[float]]()
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        rounds.append([work() for work in works])
        gc.enable()
    return [median(of_one) for of_one in zip(*rounds, strict=True)]


@pytest.mark.parametrize("name", VENUES)
def test_a_depth_frame_to_its_record_beside_orjson(name: str, recordings: Path) -> None:
    found = session(recordings, name)
    times = plays(found)
    fast = played(found, compiled(found), times)
    fast()
    unit, quick, slow = alternate(loaded(found, times), fast, played(found, checked(found), times))
    told(f"{name}: orjson.loads {unit * 1e6:.1f} us, {len(found.updates)} frames")
    told(f"{name}: checked path {slow * 1e6:.1f} us, {slow / unit:.1f} times orjson")
    told(f"{name}: fast path {quick * 1e6:.1f} us, {quick / unit:.2f} times orjson")
    told(f"{name}: bar {RATIO:.1f}: {verdict(is_met=quick <= RATIO * unit)}; {slow / quick:.1f} times the checked path")
    assert len(found.updates) > 30
