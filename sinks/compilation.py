"""Decoding many factor records at once: compiled where it compiles, kept in obflow's cache, tried before it is used.

`python -m sinks.compilation` compiles it into the cache, for `make compiled` and images.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pyarrow as pa

from obflow.compiled_cache import keep_compiled, said_of
from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.terminal import tell_lines
from schemas.codec import encode, schema_of
from schemas.factors import FACTOR_NAMES
from schemas.kernel.factor_columns import has_this_shape
from schemas.logs import Origin, Position
from schemas.messages import FactorEvent, FactorRecord, Source, Status
from schemas.versions import newest
from sinks.batching import Entry, RowBatch
from sinks.blocks import BlockDecoder, Rows
from sinks.contract import Table
from sinks.tables import factors

if TYPE_CHECKING:
    from schemas.kernel.factor_columns import FactorEvents

Decode: TypeAlias = Callable[[Sequence[bytes]], "FactorEvents"]

T0_NS: Final = 1_700_000_000_000_000_000
TRIED: Final = Position("trialrun", 0, 0)
_log = get_logger(__name__)


class Compiled(NamedTuple):
    """What decodes factor records at once, and why nothing does."""

    decode: Decode | None
    why: str = ""


def decoder_of(tables: Collection[Table[Any]], cache: Path) -> Decode | None:
    """Compile what decodes factor records at once, where one of the tables takes them; tell the log where it cannot be.

    Args:
        tables: Which are fed.
        cache: Folder of obflow's cache.
    """
    if factors.TABLE not in tables:
        return None
    compiled = compile_decoder(cache)
    if compiled.why:
        _log.warning("sink_not_compiled", why=compiled.why, instead="each record is decoded by itself, more slowly")
    return compiled.decode


def compile_decoder(cache: Path) -> Compiled:
    """Compile it, or load it, and hold it against the codec."""
    version = newest("factors")
    if not has_this_shape(schema_of(version), FACTOR_NAMES):
        return Compiled(None, f"it knows another shape of records than {version.filename}")
    try:
        keep_compiled(cache)
        from schemas.kernel.factor_events import decode_factor_events

        decode = partial(decode_factor_events, schema_id=version.schema_id, width=len(FACTOR_NAMES))
        problem = trial(decode)
    except Exception as error:  # whatever a compiler, or a folder, says of a host it does not fit
        return Compiled(None, said_of(error))
    return Compiled(None, problem) if problem else Compiled(decode)


def trial(decode: Decode) -> str:
    """Decode two records and make an insert of them; say what is wrong, or nothing.

    The first insert of a process loads half of what Arrow consists of: it is not to be the one that rows wait for.
    """
    records = [_record([0, 1, 2]), _record([7])]
    found = [rows or () for rows in BlockDecoder(decode).rows([encode(record) for record in records])]
    expected = [factors.TABLE.rows(record, TRIED) for record in records]
    if [list(rows) for rows in found] != expected:
        return "its rows differ from the codec's"
    return "" if _insert_of(found).equals(_insert_of(expected)) else "its columns differ from those of rows"


def _insert_of(rows: Sequence[Rows]) -> pa.Table:
    origin = Origin("trial", "trialrun", TRIED.partition, TRIED.offset)
    return RowBatch.of(factors.TABLE, [Entry(TRIED, each, b"", 0, origin) for each in rows]).arrow(T0_NS)


def _record(offsets: Sequence[int]) -> FactorRecord:
    events = [
        FactorEvent(
            source_offset=offset,
            sequence=-offset,
            received_ns=T0_NS + offset,
            status=Status.OK if offset else Status.RESYNCING,
            values=tuple(None if (at + offset) % 3 == 0 else offset / (at + 1) for at in range(len(FACTOR_NAMES))),
            exchange_ns=T0_NS - offset if offset % 2 else None,
        )
        for offset in offsets
    ]
    return FactorRecord("trial", "TRIAL", Source.SIMULATOR, "a", "trialrun", 0, events)


def main() -> int:
    """Compile it into the cache; a host where it does not compile is told, and is none the worse."""
    compiled = compile_decoder(Settings.load().cache)
    if compiled.why:
        tell_lines(f"records cannot be decoded many at a time here, but each by itself: {compiled.why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
