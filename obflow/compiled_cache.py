"""Where compiled code of every role is kept: a folder of obflow's cache for each version of its sources."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

CACHE_VARIABLE: Final = "NUMBA_CACHE_DIR"
CPU_VARIABLE: Final = "NUMBA_CPU_NAME"
FEATURES_VARIABLE: Final = "NUMBA_CPU_FEATURES"
GENERIC: Final = "generic"
ENGINE: Final = "engine"
"""The word under which the engine of factors is noted."""
SOURCES: Final = ("schemas/kernel", "orderbook/kernel", "processors/factors/kernel", "producers/books/kernel")
"""Folders of what is compiled, by path: nothing here knows what is in them."""
CONSTANTS: Final = (
    *(f"schemas/{name}.py" for name in ("factors", "bounds", "units")),
    *(f"schemas/messages/{name}.py" for name in ("instruments", "market", "factors")),
    *(f"processors/factors/{name}.py" for name in ("rolling", "weights", "bars", "buckets", "tape", "trades")),
    *(f"processors/factors/reference/{name}.py" for name in ("depth", "memory", "order_flow", "trades")),
    *(f"producers/books/{name}.py" for name in ("templates", "quote_flow")),
)
"""Files that constants of compiled code come from."""
ROOT: Final = Path(__file__).parents[1]


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


def note_compiled(what: str) -> None:
    """Note beside what is compiled that all of it is, and was tried; call it after `keep_compiled`.

    Args:
        what: Word for all that was compiled together.
    """
    _note_of(what).touch()


def is_compiled(what: str, cache: Path) -> bool:
    """Say whether that was noted for this host and these very files, so that nothing is compiled by who loads it.

    Args:
        what: The word it was noted under.
        cache: Folder of obflow's cache.
    """
    keep_compiled(cache)
    return _note_of(what).exists()


def said_of(error: Exception) -> str:
    """Say in one line why nothing compiles here: whatever a compiler, or a folder, says of a host it does not fit."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'no reason given'}"


def sources_digest() -> str:
    """Digest of all that is compiled, and of what its constants come from."""
    whole = hashlib.sha256()
    for path in (*_sources(), *(ROOT / name for name in CONSTANTS)):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


def _sources() -> list[Path]:
    return [path for folder in SOURCES for path in sorted((ROOT / folder).glob("*.py"))]


def _note_of(what: str) -> Path:
    """Its name has all by which numba knows again what it compiled: each file, its time, and the processor."""
    told = [sources_digest(), sys.implementation.cache_tag, version("numba"), version("llvmlite"), *_processor()]
    told += [f"{path} {path.stat().st_mtime_ns}" for path in _sources()]
    return Path(os.environ[CACHE_VARIABLE]) / f"{what}-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"


def _processor() -> tuple[str, str]:
    """Name and features of the processor that numba compiles for: this host's where nobody named another."""
    from llvmlite import binding  # a tenth of what numba takes to import

    name, features = os.environ.get(CPU_VARIABLE), os.environ.get(FEATURES_VARIABLE)
    if features is None:
        features = "" if name == GENERIC else binding.get_host_cpu_features().flatten()
    return name or binding.get_host_cpu_name(), features


def _copied(folder: Path) -> Path:
    """A copy that can be written to, as numba asks for: an image's own files cannot."""
    copy = Path(tempfile.mkdtemp(prefix="obflow-kernel-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy
