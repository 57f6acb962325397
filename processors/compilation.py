"""Which engine runs here: the compiled one where it compiles, with what it compiled kept on disk.

`python -m processors.compilation` compiles it into the cache, for `make compiled` and images.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from obflow.compiled_cache import keep_compiled, said_of
from obflow.logs import get_logger
from obflow.settings import Section, Settings
from obflow.terminal import tell_lines
from processors.factors import engine_named
from schemas.errors import DependencyError

log = get_logger(__name__)

N = TypeVar("N", bound=Section)

AUTO: Final = "auto"
KERNEL: Final = "kernel"
REFERENCE: Final = "reference"


class Chosen(NamedTuple):
    """The engine that runs, by name, and why it is not the compiled one where that was wanted."""

    engine: str
    why: str = ""


def choose_engine(wanted: str, cache: Path) -> Chosen:
    """Find the engine that a setting names; compile and try the compiled one before anybody waits for it.

    Args:
        wanted: A name of `ENGINES`, or `auto`: the compiled one where it works, else the reference.
        cache: Folder of obflow's cache.

    Raises:
        UsageError: There is none of this name.
        DependencyError: The compiled one is named, and does not compile here.
    """
    if wanted not in (AUTO, KERNEL):
        engine_named(wanted)
        return Chosen(wanted)
    problem = compile_kernel(cache)
    if not problem:
        return Chosen(KERNEL)
    if wanted == KERNEL:
        step = "set processor.engine=reference, which gives the same factors more slowly"
        raise DependencyError(f"the compiled engine does not work here: {problem}", next_step=step)
    return Chosen(REFERENCE, problem)


def with_engine(section: N, cache: Path) -> N:
    """Give a section of the settings with the engine that runs, and tell the log; one without an engine is as it was.

    Errors as of `choose_engine`.
    """
    wanted = getattr(section, "engine", None)
    if wanted is None:
        return section
    chosen = choose_engine(wanted, cache)
    if chosen.why:
        log.warning("engine_not_compiled", engine=chosen.engine, why=chosen.why)
    elif wanted == AUTO:
        log.info("engine_chosen", engine=chosen.engine)
    return section.model_copy(update={"engine": chosen.engine})


def compile_kernel(cache: Path) -> str:
    """Compile the kernel, or load it, and hold it against the reference; say what is wrong, if anything is."""
    keep_compiled(cache)
    try:
        from processors.factors.kernel.trial import trial

        return trial()
    except Exception as error:  # whatever a compiler says of a host it does not fit
        return said_of(error)


def main() -> int:
    """Compile the kernel into the cache; a host where it does not compile is told, and is none the worse."""
    problem = compile_kernel(Settings.load().cache)
    if problem:
        tell_lines(f"the compiled engine does not work here, the reference will run: {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
