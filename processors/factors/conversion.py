"""Checkpoints of one engine, read by another: through the reference's form, which every engine can make and take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from processors.contract import Renewals
from processors.factors.engine import Engine

Convert = Callable[[bytes], bytes]


def readable_by(engine: type[Engine[Any, Any]], engines: Mapping[str, type[Engine[Any, Any]]]) -> Renewals:
    """The layouts that are written anew for an engine: its own of versions before, and all of the others.

    Args:
        engine: Who is to read.
        engines: All there are, by name.
    """
    found: dict[int, Convert] = dict(engine.older)
    for other in engines.values():
        if other.layout == engine.layout:
            continue
        found[other.layout] = partial(_converted, other, engine)
        found |= {number: partial(_renewed, renew, other, engine) for number, renew in other.older.items()}
    return found


def _converted(writer: type[Engine[Any, Any]], reader: type[Engine[Any, Any]], data: bytes) -> bytes:
    return reader.imported(writer.exported(data))


def _renewed(renew: Convert, writer: type[Engine[Any, Any]], reader: type[Engine[Any, Any]], data: bytes) -> bytes:
    return _converted(writer, reader, renew(data))
