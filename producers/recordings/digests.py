"""Digests of recordings: the same recording under any name, in one file or in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from producers.recordings.parts import parts_among
from schemas.errors import UsageError


def digest_of(path: Path) -> str:
    """The SHA-256 of a recording's file, hexadecimal: the same recording under any name; of a folder that of its parts.

    Raises:
        UsageError: There is no such file.
    """
    if path.is_dir():
        return digest_of_all([path])
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UsageError(f"there is no recording {path}", next_step="check the path") from None


def digest_of_all(paths: Sequence[Path]) -> str:
    """One digest for files that are read as one: of parts that of their digests in order, of datasets the first's.

    Raises:
        UsageError: There is no such file.
    """
    parts = parts_among(paths)
    if not parts:
        return digest_of(paths[0])
    digests = [digest_of(part.path) for part in parts]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
