"""What a part that nobody closed turns out to hold, for the manifest: read up to where it was cut off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from producers.recordings.digests import digest_of
from producers.recordings.lines import lines_of
from producers.recordings.manifest import Manifest, PartEnd, PartEntry
from producers.recordings.parts import head_of, part_files
from producers.recordings.recording import received_on
from schemas.errors import FatalError


def complete(folder: Path, manifest: Manifest) -> None:
    """Bring a manifest up to what was left behind: parts still open, and parts that it does not list.

    Raises:
        FatalError: A part cannot be read.
    """
    for entry in manifest.parts:
        if entry.ended is PartEnd.OPEN:
            _complete(entry, folder / entry.name)
    for path in part_files(folder):
        if manifest.named(path.name) is None:
            head = head_of(path)
            entry = PartEntry(
                name=path.name, part=head.part, continues=head.continues, venue=head.venue, instruments=[]
            )
            _complete(entry, path)
            manifest.parts.append(entry)
    manifest.parts.sort(key=lambda entry: entry.part)


def _complete(entry: PartEntry, path: Path) -> None:
    """Say what a part holds that was cut off; of one that is gone nothing more is known than that."""
    entry.ended = PartEnd.CUT_OFF
    if not path.exists():
        return
    digest = hashlib.sha256()
    for text, received_ns in _good_lines(path):
        digest.update(text)
        entry.lines += 1
        entry.last_received_ns = received_ns
        if entry.first_received_ns is None:
            entry.first_received_ns = received_ns
    entry.bytes, entry.sha256, entry.sha256_unpacked = path.stat().st_size, digest_of(path), digest.hexdigest()


def _good_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Read its lines and when they were received, up to the first that is not whole."""
    try:
        for text in lines_of(path):
            if (received_ns := received_on(text)) is None:
                return
            yield text, received_ns
    except FatalError:
        return
