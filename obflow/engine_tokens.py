"""The embedded engine's tokens: what a request has to show, and where the programs of this user find it.

An engine makes two tokens at each start, one that lets read and one that lets write, and writes them into its data
folder, where only its user may read them. Which folder belongs to a port stands in an address book of that user, so
that every command finds the engine by its address alone, as it finds any other database.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

READER: Final = "reader"
WRITER: Final = "default"
READER_FILE: Final = "reader.token"
WRITER_FILE: Final = "writer.token"
_BYTES: Final = 32


class EngineTokens(NamedTuple):
    """What an engine's two users show.

    Attributes:
        reader: Lets read.
        writer: Lets read and write.
    """

    reader: str
    writer: str


def make(folder: Path) -> EngineTokens:
    """Make the tokens of one start, in place of those of the last.

    Args:
        folder: The engine's data folder.

    Raises:
        OSError: It cannot be written.
    """
    tokens = EngineTokens(secrets.token_urlsafe(_BYTES), secrets.token_urlsafe(_BYTES))
    _write_private(folder / READER_FILE, tokens.reader)
    _write_private(folder / WRITER_FILE, tokens.writer)
    return tokens


def read(folder: Path) -> EngineTokens:
    """Read the tokens of the engine that runs on a data folder.

    Raises:
        OSError: There is none, or it is another user's.
    """
    return EngineTokens(*((folder / name).read_text("utf-8").strip() for name in (READER_FILE, WRITER_FILE)))


def announce(port: int, folder: Path) -> None:
    """Enter this process's engine into its user's address book, and strike out those that have ended.

    Args:
        port: Where it listens.
        folder: Its data folder, which holds the tokens.

    Raises:
        OSError: There is no place to write.
    """
    book = _open_book()
    for entry in book.iterdir():
        if not _is_running(entry):
            entry.unlink(missing_ok=True)
    _write_private(book / str(port), json.dumps({"pid": os.getpid(), "folder": str(folder.absolute())}))


def find(port: int) -> EngineTokens | None:
    """Look up the tokens of the engine that listens on a port of this machine.

    Args:
        port: Of its HTTP interface.

    Returns:
        None where no engine of this user listens there.
    """
    for book in _books():
        entry = book / str(port)
        if _is_running(entry):
            with suppress(OSError, ValueError, KeyError):
                return read(Path(json.loads(entry.read_text("utf-8"))["folder"]))
    return None


def _books() -> Iterator[Path]:
    with suppress(RuntimeError):  # a user without a home
        yield Path.home() / ".cache" / "obflow" / "engines"
    yield Path(tempfile.gettempdir()) / f"obflow-{os.geteuid()}" / "engines"


def _open_book() -> Path:
    """The first place that can be written and that nobody else can."""
    problem = OSError("neither the home folder nor the temporary one can be written")
    for book in _books():
        try:
            book.mkdir(parents=True, exist_ok=True, mode=0o700)
            book.chmod(0o700)
        except OSError as error:
            problem = error
            continue
        if _is_ours(book) and os.access(book, os.W_OK):
            return book
    raise problem


def _is_ours(path: Path) -> bool:
    """Whether nobody but this user could have put there what is there."""
    status = path.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _is_running(entry: Path) -> bool:
    try:
        if not _is_ours(entry):
            return False
        os.kill(int(json.loads(entry.read_text("utf-8"))["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    new.replace(path)
