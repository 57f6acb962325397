"""A recording in parts: a folder that a recorder fills, a file an hour or as it is told, and the manifest of them.

Each part is a recording by itself. So it begins with what a reader needs of the parts before: the instrument list, and
the connections that stand, as lines that are `repeated`. A whole book of each instrument is had anew by whoever is
told that a part begins. When that is, the frames' own times and sizes say, not a clock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from producers.messages import Frame, Via
from producers.recordings.completed import complete
from producers.recordings.manifest import MANIFEST, Manifest, PartEnd, PartEntry, load_manifest, save_manifest
from producers.recordings.parts import note_standing
from producers.recordings.rotation import Rotation
from producers.recordings.writer import RecordingWriter
from schemas.errors import FatalError, UsageError
from schemas.units import NS_PER_SECOND


class RotatingWriter:
    """Writes a recording in parts; see `producers.recordings.writer.FrameWriter`.

    A folder has one writer at a time. What an earlier one left open is completed in the manifest as cut off.

    Args:
        folder: Made where it is not there; parts that are there are kept, and the next number goes on.
        venue: The venue, as `RecordingWriter` has it.
        symbols: What is recorded, for the manifest.
        rotation: When a part ends.
        anew: Whether the folder has to be without parts.

    Attributes:
        lines: Frames written, each counted once.
        parts: Files written.
        on_part: Is told that a part other than the first has begun.

    Raises:
        UsageError: The folder cannot be used: another recorder fills it, or it holds another venue's parts.
        FatalError: Nothing more can be written, as on a full disk; what was flushed until then is whole.
    """

    def __init__(
        self, folder: Path, venue: str, symbols: Sequence[str], rotation: Rotation, *, anew: bool = False
    ) -> None:
        self.lines = 0
        self.parts: list[Path] = []
        self.on_part: Callable[[], None] = lambda: None
        self._folder, self._venue, self._symbols, self._rotation = folder, venue, list(symbols), rotation
        self._writer: RecordingWriter | None = None
        self._entry: PartEntry | None = None
        self._began_ns = 0
        self._goes_on = False  # the part before was closed with all that came until then
        self._list: list[Frame] = []
        self._is_listing = True
        self._standing: dict[str, None] = {}
        self._is_closed = False
        self._is_made = not folder.exists()
        self._lock = _locked(folder)
        try:
            self._manifest = _manifest_of(folder, venue, anew=anew)
        except BaseException:
            os.close(self._lock)
            raise

    def write(self, frame: Frame) -> None:
        """Add a frame, to the next part where it is due."""
        if self._writer and self._rotation.is_due(self._began_ns, frame.received_ns, self._writer.bytes):
            self._close(self._writer, PartEnd.ROTATED)
        writer = self._writer or self._begin(frame.received_ns)
        writer.write(frame)
        self.lines += 1
        self._note(frame)
        if self._entry is not None:
            self._entry.last_received_ns = frame.received_ns

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the part that is open, and let the folder go."""
        try:
            if self._writer is not None:
                self._close(self._writer, PartEnd.STOPPED)
        finally:
            self._let_go()

    def abandon(self) -> None:
        """Take away all parts that this writer wrote: what they were to hold is not whole."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        for path in self.parts:
            path.unlink(missing_ok=True)
        gone = {path.name for path in self.parts}
        self.lines, self.parts = 0, []
        self._manifest.parts = [entry for entry in self._manifest.parts if entry.name not in gone]
        if self._manifest.parts:
            save_manifest(self._folder, self._manifest)
        else:
            (self._folder / MANIFEST).unlink(missing_ok=True)
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _begin(self, received_ns: int) -> RecordingWriter:
        """Begin a part, which the manifest lists before a line of it is written."""
        number = 1 + max((entry.part for entry in self._manifest.parts), default=0)
        entry = PartEntry(
            name=part_name(self._venue, number, received_ns),
            part=number,
            continues=self._goes_on,
            venue=self._venue,
            instruments=self._symbols,
            first_received_ns=received_ns,
            obflow=version("obflow"),
        )
        head = {"part": number, "continues": entry.continues}
        writer = RecordingWriter(self._folder / entry.name, self._venue, head)
        self._list_open(entry, writer)
        self._writer, self._entry, self._began_ns = writer, entry, received_ns
        self.parts.append(writer.path)
        if entry.continues:
            self._repeat(writer, received_ns)
            self.on_part()
        return writer

    def _list_open(self, entry: PartEntry, writer: RecordingWriter) -> None:
        self._manifest.parts.append(entry)
        try:
            save_manifest(self._folder, self._manifest)
        except FatalError:
            self._manifest.parts.remove(entry)
            writer.abandon()
            raise

    def _repeat(self, writer: RecordingWriter, received_ns: int) -> None:
        """Say again what a reader of this part alone has to know, as known now."""
        for frame in self._list:
            writer.write(frame._replace(received_ns=received_ns), repeated=True)
        for connection in self._standing:
            writer.write(Frame(received_ns, Via.CONNECT, connection), repeated=True)

    def _note(self, frame: Frame) -> None:
        """Keep the instrument list, which is what was asked for before anything else came, and what stands."""
        self._is_listing = self._is_listing and frame.via is Via.REST
        if self._is_listing:
            self._list.append(frame)
        note_standing(self._standing, frame)

    def _close(self, writer: RecordingWriter, ended: PartEnd) -> None:
        """Close a part and say in the manifest what it holds; one that could not be written on stays open there."""
        self._writer, entry, self._goes_on = None, self._entry, False
        writer.sync()
        writer.close()
        if entry is None or writer.is_cut:
            return
        entry.lines, entry.bytes, entry.ended = writer.lines, writer.bytes, ended
        entry.sha256 = writer.packed_digest.hexdigest()
        entry.sha256_unpacked = writer.digest.hexdigest()
        self._goes_on = True
        if not entry.lines:
            self._manifest.parts.remove(entry)
        save_manifest(self._folder, self._manifest)

    def _let_go(self) -> None:
        """Let the folder go, and take one away that this writer made and nothing came to."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_made:
            with suppress(OSError):  # it holds something
                self._folder.rmdir()
        os.close(self._lock)


def open_writer(
    path: Path, venue: str, symbols: Sequence[str], rotation: Rotation | None, *, anew: bool = False
) -> RecordingWriter | RotatingWriter:
    """Begin a recording: one file, or with a rotation a folder of parts. Arguments and errors as of these."""
    if rotation is None:
        return RecordingWriter(path, venue)
    return RotatingWriter(path, venue, symbols, rotation, anew=anew)


def written(writer: RecordingWriter | RotatingWriter, path: Path) -> dict[str, object]:
    """Say what a recorder wrote and where; nothing is there where nothing came."""
    told: dict[str, object] = {"lines": writer.lines, "file": str(path) if writer.lines else None}
    if isinstance(writer, RotatingWriter):
        told["parts"] = [part.name for part in writer.parts]
    return told


def part_name(venue: str, number: int, received_ns: int) -> str:
    """Name a part by its venue, its number and when it began, so that names sort as parts follow."""
    began = datetime.fromtimestamp(received_ns // NS_PER_SECOND, UTC)
    return f"{venue.replace(':', '-')}-{number:06d}-{began:%Y%m%dT%H%M%SZ}.frames.jsonl.gz"


def _locked(folder: Path) -> int:
    """Have a folder alone, made where it is not there; the system lets it go with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileExistsError:
        raise UsageError(f"{folder} is a file, not a folder for parts", next_step="name a folder with --out") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be used ({error.strerror})", next_step="name another folder") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UsageError(f"another recorder writes into {folder}", next_step="name another folder") from None
    return lock


def _manifest_of(folder: Path, venue: str, *, anew: bool) -> Manifest:
    """Give the manifest of a folder that is to be filled, brought up to what was left behind there."""
    manifest = load_manifest(folder) or Manifest()
    complete(folder, manifest)
    if other := next((entry.venue for entry in manifest.parts if entry.venue != venue), ""):
        raise UsageError(f"{folder} holds a recording of {other}, not of {venue}", next_step="name another folder")
    if anew and manifest.parts:
        raise UsageError(f"{folder} holds parts already", next_step="name another folder: history is fetched whole")
    if manifest.parts:
        save_manifest(folder, manifest)
    return manifest
