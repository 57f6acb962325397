"""tardis-node's mapper of book changes as a process that plays rounds when it is told to (`mapper.mjs`)."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from producers.exchanges import EXCHANGES
from producers.messages import DepthSnapshot, Frame, Via
from schemas.errors import DependencyError

MAPPER: Final = Path(__file__).parent / "mapper.mjs"
LENGTH_BYTES: Final = 4
WARM_UP: Final = 30_000
"""Updates that V8 has compiled its code after."""
PEER_IDS: Final = {"okx": "okex-swap"}
"""Its id of an exchange where that is not the venue's; it maps books of all of OKX's kinds by one class."""
DEPTH_TOPIC: Final = b"orderbook.50."
_BYBIT_DEPTH: Final = re.compile(rb"orderbook\.\d{2,}\.")


class Change(msgspec.Struct, frozen=True):
    """A book change: absolute sizes, 0 removes; each level a price and a size."""

    symbol: str
    is_snapshot: bool
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]

    @property
    def levels(self) -> int:
        return len(self.bids) + len(self.asks)


class Round(msgspec.Struct, frozen=True):
    """CPU time of a round, microseconds a frame, and what was mapped each time that the updates were played."""

    cpu_us: float
    frames: int
    changes: int
    levels: int


class Played(NamedTuple):
    """What the peer is given: frames that bring the books to their beginning, then updates."""

    before: Sequence[bytes]
    updates: Sequence[bytes]


_CHANGES: Final = msgspec.json.Decoder(list[list[Change]], strict=False)
_ROUND: Final = msgspec.json.Decoder(Round)


class TardisNode:
    """The peer at work on one session.

    Args:
        process: A `mapper.mjs`.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.rounds = list[Round]()

    def changes(self) -> list[list[Change]]:
        """What it maps each update to."""
        return _CHANGES.decode(self._ask(b"changes"))

    def round(self) -> float:
        """Play a round: CPU seconds of its process a frame."""
        self.rounds.append(_ROUND.decode(self._ask(b"round")))
        return self.rounds[-1].cpu_us / 1e6

    def _ask(self, command: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise DependencyError("the process of tardis-node ended; what it said stands above")
        return answer


@contextmanager
def tardis_node(
    folder: Path, venue: str, played: Played, *, times: int, warm_up: int = WARM_UP
) -> Iterator[TardisNode]:
    """Run the peer until the end of the block.

    Args:
        folder: Has its `node_modules`.
        venue: Our id of the exchange.
        played: Frames as the peer's live feed has them.
        times: How often a round plays the updates.
        warm_up: Updates that are played before it answers.
    """
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "frames"
        path.write_bytes(lined_up([*played.before, *played.updates]))
        numbers = (str(number) for number in (len(played.before), times, warm_up))
        command = ["node", str(MAPPER), str(folder), PEER_IDS.get(venue, venue), str(path), *numbers]
        # No other variable: some tell the peer to take another channel, or to overlook an update that does not fit.
        environment = {"PATH": os.environ["PATH"]}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
            try:
                yield TardisNode(process)
            finally:
                process.kill()


def lined_up(frames: Sequence[bytes]) -> bytes:
    """Frames one behind the other, each behind its length."""
    return b"".join(len(frame).to_bytes(LENGTH_BYTES, "little") + frame for frame in frames)


def as_live_feed(frame: Frame, venue: str, symbol: str) -> bytes:
    """Give a frame as the peer's live feed has it: a book that was fetched comes as a message of a stream.

    Args:
        frame: A depth frame.
        venue: Its venue.
        symbol: Of a fetched book, where its answer does not name it.
    """
    if frame.via is not Via.REST:
        return frame.raw
    (book,) = (one for one in EXCHANGES[venue].parse(frame) if isinstance(one, DepthSnapshot))
    stream = f"{(book.symbol or symbol).lower()}@depthSnapshot"
    return b'{"stream":"%b","generated":true,"data":%b}' % (stream.encode(), frame.raw)


def with_its_depth(frame: Frame) -> Frame:
    """Give a frame of Bybit under the topic of 50 levels, which alone the peer takes; any other frame as it is."""
    return frame._replace(raw=_BYBIT_DEPTH.sub(DEPTH_TOPIC, frame.raw, count=1))
