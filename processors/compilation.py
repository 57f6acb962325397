"""Which engine runs here: the compiled one where it is compiled already, or wanted by name; kept on disk.

`python -m processors.compilation` compiles it into the cache, for `make compiled` and images; with `--idle` it leaves
the processors to whoever else wants them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from obflow.compiled_cache import ENGINE, is_compiled, keep_compiled, note_compiled, said_of
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
IDLE: Final = "--idle"
LEAST_URGENT: Final = 19
NOT_YET: Final = "it is not compiled here yet, which `make compiled` does, or `python -m processors.compilation`"


class Chosen(NamedTuple):
    """The engine that runs, by name, and why it is not the compiled one where that was wanted."""

    engine: str
    why: str = ""


def choose_engine(wanted: str, cache: Path) -> Chosen:
    """Find the engine that a setting names; load and try the compiled one before anybody waits for it.

    Args:
        wanted: A name of `ENGINES`, or `auto`: the compiled one where it is compiled already, else the reference. By
            its name the compiled one is compiled first, which takes most of a minute.
        cache: Folder of obflow's cache.

    Raises:
        UsageError: There is none of this name.
        DependencyError: The compiled one is named, and does not compile here.
    """
    if wanted not in (AUTO, KERNEL):
        engine_named(wanted)
        return Chosen(wanted)
    if wanted == AUTO and (why := _why_not_loaded(cache)):
        return Chosen(REFERENCE, why)
    problem = compile_kernel(cache)
    if not problem:
        return Chosen(KERNEL)
    if wanted == KERNEL:
        step = "set processor.engine=reference, which gives the same factors more slowly"
        raise DependencyError(f"the compiled engine does not work here: {problem}", next_step=step)
    return Chosen(REFERENCE, problem)


def with_engine(section: N, cache: Path, *, tells: bool = True) -> N:
    """Give a section of the settings with the engine that runs; one without an engine is as it was.

    Args:
        section: The section.
        cache: Folder of obflow's cache.
        tells: Whether the log is told, as it is of a worker; a command says it with its result, if at all.

    Errors as of `choose_engine`.
    """
    wanted = getattr(section, "engine", None)
    if wanted is None:
        return section
    chosen = choose_engine(wanted, cache)
    if tells:
        _tell(chosen, wanted)
    return section.model_copy(update={"engine": chosen.engine})


def _tell(chosen: Chosen, wanted: str) -> None:
    if chosen.why:
        log.warning("engine_not_compiled", engine=chosen.engine, why=chosen.why)
    elif wanted == AUTO:
        log.info("engine_chosen", engine=chosen.engine)


def _why_not_loaded(cache: Path) -> str:
    """Why there is nothing to load; empty where there is."""
    try:
        return "" if is_compiled(ENGINE, cache) else NOT_YET
    except Exception as error:  # whatever a compiler, or a folder, says of a host it does not fit
        return said_of(error)


def compile_kernel(cache: Path) -> str:
    """Compile the kernel, or load it, and hold it against the reference; say what is wrong, if anything is."""
    try:
        keep_compiled(cache)
        from processors.factors.kernel.trial import trial

        problem = trial()
        if not problem:
            note_compiled(ENGINE)
    except Exception as error:  # whatever a compiler, or a folder, says of a host it does not fit
        return said_of(error)
    return problem


def main() -> int:
    """Compile the kernel into the cache; a host where it does not compile is told, and is none the worse."""
    if IDLE in sys.argv[1:]:
        os.nice(LEAST_URGENT)
    problem = compile_kernel(Settings.load().cache)
    if problem:
        tell_lines(f"the compiled engine does not work here, the reference will run: {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
