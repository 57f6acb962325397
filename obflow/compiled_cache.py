"""Where compiled code of every role is kept: a folder of obflow's cache for each version of its sources."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

CACHE_VARIABLE: Final = "NUMBA_CACHE_DIR"
SOURCES: Final = ("schemas/kernel", "orderbook/kernel", "processors/factors/kernel", "producers/books/kernel")
"""Folders of what is compiled, by path: nothing here knows what is in them."""
CONSTANTS: Final = (
    *(f"schemas/{name}.py" for name in ("factors", "bounds", "units")),
    *(f"schemas/messages/{name}.py" for name in ("instruments", "market", "factors")),
    *(f"processors/factors/{name}.py" for name in ("rolling", "weights", "bars", "buckets", "tape", "trades")),
    *(f"processors/factors/reference/{name}.py" for name in ("depth", "memory", "order_flow", "trades")),
    "producers/books/templates.py",
)
"""Files that constants of compiled code come from."""


def keep_compiled(cache: Path) -> None:
    """Have numba keep what it compiles in obflow's cache, unless it was told where; call it before numba is imported.

    Each version of the sources has a folder of its own: numba looks at the file of a function alone, not at those of
    the functions it calls.

    Args:
        cache: Folder of obflow's cache.
    """
    folder = Path(os.environ.get(CACHE_VARIABLE) or cache / "kernel" / sources_digest())
    if folder.exists() and not os.access(folder, os.W_OK):
        folder = _copied(folder)
    os.environ[CACHE_VARIABLE] = str(folder)


def said_of(error: Exception) -> str:
    """Say in one line why nothing compiles here: whatever a compiler, or a folder, says of a host it does not fit."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'no reason given'}"


def sources_digest() -> str:
    """Digest of all that is compiled, and of what its constants come from."""
    root, whole = Path(__file__).parents[1], hashlib.sha256()
    files = [path for folder in SOURCES for path in sorted((root / folder).glob("*.py"))]
    for path in (*files, *(root / name for name in CONSTANTS)):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


def _copied(folder: Path) -> Path:
    """A copy that can be written to, as numba asks for: an image's own files cannot."""
    copy = Path(tempfile.mkdtemp(prefix="obflow-kernel-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy
