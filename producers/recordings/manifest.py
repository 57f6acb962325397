"""The manifest of a folder of parts: what each holds and its digests, so that one that is missing or changed is named.

`manifest.json` is replaced whole: written beside, brought to the disk, renamed. So a crash leaves the one before or
this one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import FatalError

MANIFEST: Final = "manifest.json"


class PartEnd(StrEnum):
    """How a part ended."""

    OPEN = "open"
    """It is being written, or whoever wrote it was killed and has not begun again."""
    ROTATED = "rotated"
    """The next part goes on where it ended."""
    STOPPED = "stopped"
    """The recorder was told to stop."""
    CUT_OFF = "cut off"
    """The recorder was killed or could not write on: up to its last second is missing."""


class PartEntry(msgspec.Struct, kw_only=True):
    """A part of a recording.

    Attributes:
        name: Its file.
        part: Its number.
        continues: Whether it goes on where the part before ended.
        venue: Where its frames came from.
        instruments: What was recorded, as the venue writes it.
        first_received_ns, last_received_ns: When its first and last line were received, ns UTC; null without a line.
        lines: Lines in it.
        bytes: Size of the file.
        sha256: Of the file; empty while it is open.
        sha256_unpacked: Of its text; the same whatever packed it.
        obflow: The version that wrote it.
        ended: How it ended.
    """

    name: str
    part: int
    continues: bool
    venue: str
    instruments: list[str]
    first_received_ns: int | None = None
    last_received_ns: int | None = None
    lines: int = 0
    bytes: int = 0
    sha256: str = ""
    sha256_unpacked: str = ""
    obflow: str = ""
    ended: PartEnd = PartEnd.OPEN


class Manifest(msgspec.Struct):
    """All parts of a folder, in order."""

    parts: list[PartEntry] = []

    def named(self, name: str) -> PartEntry | None:
        """Find a part by its file."""
        return next((entry for entry in self.parts if entry.name == name), None)


def load_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None where there is none.

    Raises:
        FatalError: It cannot be read.
    """
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FatalError(
            f"{path} is no manifest that can be read ({error})",
            next_step="move it away: the next start of obflow record into the folder makes one of the parts",
        ) from None


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of a folder.

    Raises:
        FatalError: It cannot be written; the one before stays.
    """
    path, beside = folder / MANIFEST, folder / f".{MANIFEST}.new"
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    try:
        with beside.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(folder)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise FatalError(
            f"{path} cannot be written ({error.strerror}); the parts are whole, and the next start completes it",
            next_step="make room on the disk, then start again",
        ) from None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
