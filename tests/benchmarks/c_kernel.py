"""The compiled engine's work in C, compiled where it runs: `c/process.c` on the kernel's own memory, through ctypes.

The structures of C are written from the kernel's dtypes and its numbers from the kernel's constants, so that both stand
for the same bytes. Bits are compared, so products and sums are not fused (`-ffp-contract=off`), as in the kernel.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from orderbook.kernel.ladder import LADDER
from orderbook.kernel.pages import LEAF
from processors.factors.buckets import BUCKETS
from processors.factors.kernel import arrays, places
from processors.factors.kernel.arrays import STATE
from processors.factors.kernel.bars import HALF_PI, KEEP, STEPS_NS
from processors.factors.kernel.deltas import HEAD
from processors.factors.kernel.imbalance import HALVING_WEIGHTS, LEVEL_WEIGHTS
from processors.factors.kernel.process import OK, THIN
from processors.factors.kernel.trades import SPANS_NS
from processors.factors.reference.memory import FLAT_SD, LEAST_EVENTS
from processors.factors.reference.order_flow import DEEP
from processors.factors.reference.trades import LEAST_BARS
from processors.factors.rolling import LEVELS_MAX, WINDOW_MAX, WINDOW_NS, Z_EVENTS
from processors.factors.tape import TAPE_MAX
from schemas.factors import FACTOR_NAMES

SOURCES: Final = Path(__file__).parent / "c"
FLAGS: Final = ("-O3", "-march=native", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
STRUCTURES: Final = {"state": STATE, "ladder": LADDER, "leaf": LEAF, "head": HEAD}
NUMBERS: Final = {
    "TOP": arrays.TOP,
    "WINDOWS": arrays.WINDOWS,
    "WINDOW_ROOM": arrays.WINDOW_ROOM,
    "WINDOW_MAX": WINDOW_MAX,
    "WINDOW_NS": WINDOW_NS,
    "LEVELS_MAX": LEVELS_MAX,
    "TAPE_MAX": TAPE_MAX,
    "BUCKETS": BUCKETS,
    "DEEP": DEEP,
    "Z_EVENTS": Z_EVENTS,
    "LEAST_EVENTS": LEAST_EVENTS,
    "LEAST_BARS": LEAST_BARS,
    "FLAT_SD": FLAT_SD,
    "HALF_PI": HALF_PI,
    "FACTORS": len(FACTOR_NAMES),
    "THIN": THIN,
    "OK": OK,
}
SERIES: Final = {
    "SPANS_NS": SPANS_NS,
    "STEPS_NS": STEPS_NS,
    "KEEP": KEEP,
    "PAST_EVENTS": arrays.PAST_EVENTS,
    "LEVEL_WEIGHTS": LEVEL_WEIGHTS,
    "HALVING_WEIGHTS": HALVING_WEIGHTS,
}
ARGUMENTS: Final = (
    *(ctypes.c_void_p, *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64) * 2),
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_double),
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64),
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
)
Process = Callable[..., tuple[int, int, int, int]]


def compiler() -> str | None:
    """Find a C compiler."""
    return shutil.which("cc")


def layout() -> str:
    """Write layout.h: the kernel's structures, numbers and places of factors."""
    return "\n".join(("#pragma once", *_structures(), *_numbers())) + "\n"


def _structures() -> Iterator[str]:
    for name, dtype in STRUCTURES.items():
        fields = (_field(field, dtype[field]) for field in dtype.names or ())
        yield f"typedef struct {{ {' '.join(fields)} }} {name};"
        yield f'_Static_assert(sizeof({name}) == {dtype.itemsize}, "{name}");'


def _field(name: str, dtype: np.dtype[Any]) -> str:
    kind = "double" if dtype.base == np.float64 else "i64"
    return f"{kind} {name}{''.join(f'[{length}]' for length in dtype.shape)};"


def _numbers() -> Iterator[str]:
    named = {f"AT_{name}": value for name, value in vars(places).items() if name.isupper()}
    single = {**NUMBERS, **{name: value for name, value in named.items() if isinstance(value, int)}}
    several = {**SERIES, **{name: value for name, value in named.items() if isinstance(value, tuple)}}
    yield from (f"#define {name} {value!r}" for name, value in single.items())
    for name, values in several.items():
        if all(isinstance(value, int | float) for value in values):
            kind = "double" if isinstance(values[0], float) else "i64"
            yield f"static const {kind} {name}[] = {{{', '.join(map(repr, values))}}};"


def c_process(command: str, folder: Path) -> Process:
    """Compile the program into a folder; give what takes the arguments of the kernel's `process`."""
    (folder / "layout.h").write_text(layout())
    library = folder / "process.so"
    sources = ["-I", str(folder), str(SOURCES / "process.c"), "-lm"]
    subprocess.run([command, *FLAGS, "-o", str(library), *sources], check=True)
    function = ctypes.CDLL(str(library)).process
    function.argtypes, function.restype = ARGUMENTS, None

    def process(*arguments: Any) -> tuple[int, int, int, int]:
        ended = np.zeros(4, dtype=np.int64)
        function(*_flat(*arguments, ended))
        events, why, bids, asks = ended.tolist()
        return events, why, bids, asks

    return process


def _flat(*arguments: Any) -> Iterator[Any]:
    """Addresses of arrays, each directory and the window with its room, the rows with their number."""
    for at, argument in enumerate(arguments):
        yield argument if isinstance(argument, float) else argument.ctypes.data
        if at in (3, 6, 8, 12):
            yield argument.shape[-1]
