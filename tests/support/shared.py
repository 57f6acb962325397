"""What is made once a session, by whichever of its workers needs it first, and read by the others."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

VARIABLE: Final = "OBFLOW_TEST_SHARED"


def begin() -> Path | None:
    """Make the session's folder, unless this process is a worker of a session that has one; the caller removes it."""
    if VARIABLE in os.environ:
        return None
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="obflow-tests-")
    return Path(os.environ[VARIABLE])


def end(folder: Path) -> None:
    """Remove the session's folder."""
    os.environ.pop(VARIABLE, None)
    shutil.rmtree(folder, ignore_errors=True)


def made_once(name: str, make: Callable[[], list[str]]) -> list[str]:
    """Texts that the session needs once; who asks while they are made waits.

    Args:
        name: What they are kept by.
        make: Makes them, in the process that asks first.
    """
    path = Path(os.environ[VARIABLE]) / f"{name}.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(json.dumps(make()), "utf-8")
        return list(json.loads(path.read_text("utf-8")))
