"""Parts of a recording held against their manifest: one that is missing, changed or not listed is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from producers.recordings.digests import digest_of
from producers.recordings.lines import lines_of
from producers.recordings.manifest import MANIFEST, Manifest, PartEnd, PartEntry, load_manifest
from producers.recordings.parts import part_files
from schemas.errors import FatalError


def problems_in(folder: Path) -> list[str]:
    """Say what of a folder is not as its manifest says, a sentence each; one that is still open is not looked at."""
    try:
        manifest = load_manifest(folder)
    except FatalError as error:
        return [error.cause]
    parts = part_files(folder)
    if manifest is None:  # of a folder without parts, whoever reads it says so
        return [f"{folder} has no {MANIFEST}: nothing says whether its parts are whole"] if parts else []
    unlisted = [path.name for path in parts if manifest.named(path.name) is None]
    return [*_wrongs(folder, manifest), *(f"part {name} is not listed in {MANIFEST}" for name in unlisted)]


def open_in(folder: Path) -> list[str]:
    """Name the parts of a folder that nobody has closed."""
    try:
        manifest = load_manifest(folder) or Manifest()
    except FatalError:
        return []
    return [entry.name for entry in manifest.parts if entry.ended is PartEnd.OPEN]


def _wrongs(folder: Path, manifest: Manifest) -> Iterator[str]:
    for entry in manifest.parts:
        path = folder / entry.name
        if not path.exists():
            yield f"part {entry.name} is missing: {entry.lines:,} lines are listed"
        elif entry.ended is not PartEnd.OPEN and not _is_as_listed(entry, path):
            yield f"part {entry.name} is changed: its SHA-256 is not the one listed"


def _is_as_listed(entry: PartEntry, path: Path) -> bool:
    """Tell whether a file is as it was, or is packed otherwise and holds the same text."""
    return digest_of(path) == entry.sha256 or _text_digest(path) == entry.sha256_unpacked


def _text_digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        for text in lines_of(path):
            digest.update(text)
    except FatalError:
        return ""
    return digest.hexdigest()
