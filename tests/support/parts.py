"""A recording written again as a folder of parts."""

from __future__ import annotations

from pathlib import Path

from producers.recordings.recording import Recording
from producers.recordings.rotating import RotatingWriter
from producers.recordings.rotation import Rotation
from schemas.units import NS_PER_SECOND


def in_parts(path: Path, folder: Path, venue: str, symbol: str, part_s: int) -> list[Path]:
    """Write it in parts of so many seconds; there is more than one."""
    with RotatingWriter(folder, venue, [symbol], Rotation(part_s * NS_PER_SECOND)) as writer:
        for frame in Recording(path).frames():
            writer.write(frame)
    assert len(writer.parts) > 1
    return writer.parts
