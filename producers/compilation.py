"""Whether ordinary updates are taken compiled here: where that compiles, and gives what the codec gives.

`python -m producers.compilation` compiles it into the cache, for `make compiled` and images.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from obflow.compiled_cache import keep_compiled, said_of
from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.terminal import tell_lines
from producers.books.engine import DeltaEngine
from producers.contract import DeltaForm
from schemas.errors import DependencyError

log = get_logger(__name__)

REFERENCE: Final = "reference"
KERNEL: Final = "kernel"

MakeEngine = Callable[[DeltaForm], DeltaEngine]
"""What a `FrameRouter` is handed."""


def find_engine(wanted: str, cache: Path) -> MakeEngine | None:
    """Find what `producer.engine` names; compile and try it before anybody waits for it.

    Args:
        wanted: `reference`, `kernel`, or `auto`: the compiled one where it works.
        cache: Folder of obflow's cache.

    Returns:
        What makes the compiled engine; None where updates are taken record by record.

    Raises:
        DependencyError: The compiled one is named, and does not work here.
    """
    if wanted == REFERENCE:
        return None
    problem = compile_updates(cache)
    if problem and wanted == KERNEL:
        step = "set producer.engine=reference, which gives the same records more slowly"
        raise DependencyError(f"the compiled engine does not work here: {problem}", next_step=step)
    if problem:
        log.warning("engine_not_compiled", engine=REFERENCE, why=problem)
        return None
    from producers.books.kernel.engine import CompiledDeltas

    return CompiledDeltas


def compile_updates(cache: Path) -> str:
    """Compile it, or load it, and hold it against the codec; say what is wrong, if anything is."""
    keep_compiled(cache)
    try:
        from producers.books.kernel.trial import trial

        return trial()
    except Exception as error:  # whatever a compiler says of a host it does not fit
        return said_of(error)


def main() -> int:
    """Compile it into the cache; a host where it does not compile is told, and is none the worse."""
    problem = compile_updates(Settings.load().cache)
    if problem:
        tell_lines(f"the compiled engine of producers does not work here, records are read one by one: {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
