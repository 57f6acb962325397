"""Where compiled code is kept: a folder of obflow's cache for each version of its sources."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CACHE_VARIABLE: Final = "NUMBA_CACHE_DIR"


def keep_in(cache: Path, digest: str) -> None:
    """Have numba keep what it compiles in obflow's cache, unless it was told where; to be called before it is imported.

    Each version of what is compiled has a folder of its own: numba looks at the file of a function alone, not at those
    of the functions it calls.

    Args:
        cache: Folder of obflow's cache.
        digest: Of all that is compiled, and of what its constants come from.
    """
    folder = Path(os.environ.get(CACHE_VARIABLE) or cache / "kernel" / digest)
    if folder.exists() and not os.access(folder, os.W_OK):
        folder = _copied(folder)
    os.environ[CACHE_VARIABLE] = str(folder)


def digest_of(files: Iterable[Path]) -> str:
    """Digest of sources, in this order."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


def _copied(folder: Path) -> Path:
    """A copy that can be written to, as numba asks for: an image's own files cannot."""
    copy = Path(tempfile.mkdtemp(prefix="obflow-kernel-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy
