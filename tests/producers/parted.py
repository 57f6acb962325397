"""Recordings in parts for tests: frames of a venue that is made up, and ways to write and read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from producers.messages import Frame, Via
from producers.recordings.parts import PartsOfRecording, parts_among
from producers.recordings.recording import Recording
from producers.recordings.rotating import RotatingWriter
from producers.recordings.rotation import Rotation
from schemas.units import NS_PER_SECOND

VENUE = "binance"
LIST = Frame(0, Via.REST, "", "/api/v3/exchangeInfo", b'{"symbols":[]}')


def at(seconds: float, via: Via = Via.WS, connection: str = "1", text: str = "") -> Frame:
    """A frame at a moment, which its text says by default."""
    raw = (text or f'{{"at":{seconds}}}').encode() if via in (Via.WS, Via.REST) else b""
    return Frame(int(seconds * NS_PER_SECOND), via, connection, "", raw)


def a_minute() -> list[Frame]:
    """Begin as recorders do, and go on once a second."""
    return [LIST, at(0, Via.CONNECT), *(at(second) for second in range(1, 60))]


def record(folder: Path, frames: Iterable[Frame], rotation: Rotation | None = None) -> RotatingWriter:
    """Write frames into a folder, to the end."""
    with RotatingWriter(folder, VENUE, ["BTCUSDT"], rotation or Rotation(10 * NS_PER_SECOND)) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


def read(*paths: Path) -> list[Frame]:
    """Read parts as one recording."""
    return list(PartsOfRecording(parts_among(paths), "", "").frames())


def alone(path: Path) -> list[Frame]:
    """Read one part by itself."""
    return list(Recording(path).frames())


def names(paths: Sequence[Path]) -> list[str]:
    """Tell their names."""
    return [path.name for path in paths]
