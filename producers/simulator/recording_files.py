"""A simulated recording on disk: the frames, what a reader must find in them, and the venue's own final books.

NAME.frames.jsonl.gz      the recording
NAME.metadata.json        where it comes from, its digest, how to make it again, what to expect of it
NAME.true-books.json.gz   every level of every book at the last recorded update
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson

from producers.messages import Frame, Via
from producers.recordings.writer import RecordingWriter
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording import SimulatedRecording
from schemas.errors import UsageError

SUFFIX = ".frames.jsonl.gz"
_WORDS = {"snapshot_id": "snapshot_lastUpdateId", "last_id": "last_u"}
"""Metadata says it in the words of the captured recordings that tests read too."""


def write_recording(
    exchange: SimulatedExchange, path: Path, seconds: float, *, seed: int, rate: float, faults: bool
) -> dict[str, Any]:
    """Write the files of a recording.

    Args:
        exchange: The venue, not used before.
        path: The recording; the other files lie beside it.
        seconds: Virtual seconds.
        seed: As the venue was made with: written into the command that makes the recording again.
        rate: Likewise.
        faults: Whether any are scheduled; then nothing is expected of the books.

    Returns:
        The metadata.

    Raises:
        UsageError: A file is there already, or cannot be created.
    """
    if not path.name.endswith(SUFFIX):
        raise UsageError(f"{path} is not the name of a recording", next_step=f"let it end in {SUFFIX}")
    stem = path.name.removesuffix(SUFFIX)
    recording = SimulatedRecording(exchange, seconds, seed)
    venue = exchange.venue.name
    with RecordingWriter(path, venue) as writer:
        for frame in recording:
            raw = frame.raw.encode()
            writer.write(Frame(frame.received_ns, Via(frame.via), frame.connection, frame.request, raw))
    symbols = " ".join(f"--symbol {symbol}" for symbol in exchange.specs)
    command = f"obflow simulate --venue {venue} {symbols} --seed {seed} --rate {rate:g} --seconds {seconds:g}"
    instruments = {
        symbol: {_WORDS.get(name, name): value for name, value in found.items()}
        for symbol, found in recording.expected().items()
    }
    metadata: dict[str, Any] = {
        "venue": venue,
        "source": "the exchange simulator, in virtual time",
        "synthetic": True,
        "licence": "Apache-2.0",
        "regenerate": f"{command} --record {path.name}" if not faults else "made with scheduled faults",
        "lines": writer.lines,
        "sha256_unpacked": writer.digest.hexdigest(),
        "instruments": {} if faults else instruments,
    }
    text = orjson.dumps(metadata, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    path.with_name(f"{stem}.metadata.json").write_bytes(text)
    if not faults:
        books = gzip.compress(orjson.dumps(recording.true_books()), mtime=0)
        path.with_name(f"{stem}.true-books.json.gz").write_bytes(books)
    return metadata
