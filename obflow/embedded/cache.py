"""Where the embedded default keeps what it downloads and what it writes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder for jars and data of the embedded default, created when missing.

    Returns:
        `OBFLOW_CACHE` where it is set, else `~/.cache/obflow`, as an absolute path.
    """
    configured = os.environ.get("OBFLOW_CACHE", "")
    folder = Path(configured).expanduser() if configured else Path.home() / ".cache" / "obflow"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
