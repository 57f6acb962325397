"""What the broker's Java runtime has learned of a start, kept beside the jars: later starts take half the time.

The JVM writes it itself when a broker ends that was started for it (JEP 483 and 514: classes read, linked and ordered).
It holds for one runtime, one class path and one set of options, which its name says; the JVM looks as well, and starts
without one that does not fit.

    python -m embedded.start_cache      makes it where there is none (what `make test` calls)
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

QUIET: Final = ("-Xlog:aot*=off",)
"""A cache that does not fit costs time alone: not worth a warning in the broker's log."""


def path_of(jars: Sequence[Path], java: Path, options: Sequence[str]) -> Path:
    """Name the file for this class path, this runtime and these options."""
    said = "\n".join([*map(str, jars), str(java), (java.parents[1] / "release").read_text("utf-8"), *options])
    return jars[0].parents[1] / f"start-{hashlib.sha256(said.encode()).hexdigest()[:16]}.aot"


def options_for(path: Path) -> tuple[str, ...]:
    """What the JVM is told, to start with the file where there is one."""
    return (*QUIET, f"-XX:AOTCache={path}") if path.exists() else ()


def make() -> bool:
    """Start and stop a broker once, and keep what its runtime learned; False where that is there already."""
    from embedded.kafka import EmbeddedKafka

    with tempfile.TemporaryDirectory(prefix="obflow-start-") as folder:
        broker = EmbeddedKafka(Path(folder))
        path = broker.start_cache()
        if path.exists():
            return False
        learned = Path(folder) / path.name
        broker.start(extra=(f"-XX:AOTCacheOutput={learned}",))
        broker.stop(grace_s=120.0)  # written while it ends
        if learned.exists():
            whole = Path(shutil.copyfile(learned, path.with_suffix(".partial")))
            whole.replace(path)
    return True


if __name__ == "__main__":
    make()
    sys.exit(0)
