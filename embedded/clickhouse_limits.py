"""What a reader's query may take of the machine, and which settings a reader may name.

A reader's settings come from the address and from a SETTINGS clause alike. Those of the reviewed list change how an
answer is computed or written. Those with a bound may be lowered. No other is taken, so that none can lift a bound,
bring in a file or carry a piece of SQL past the rules (`additional_result_filter` would).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from embedded.clickhouse_allowed import IGNORED_SETTINGS, READER_SETTINGS
from embedded.clickhouse_sql import READONLY, QueryRefused

MIB: Final = 1 << 20
MEMORY_SHARE: Final = 16  # of the machine's memory, for one query
LEAST_MEMORY: Final = 256 * MIB
MOST_MEMORY: Final = 1024 * MIB
SECONDS: Final = 120
RESULT_BYTES: Final = 256 * MIB


def bounds() -> dict[str, int]:
    """The most a reader's query may take, by the setting's name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEMORY_SHARE
    return {
        "max_memory_usage": min(max(memory, LEAST_MEMORY), MOST_MEMORY),
        "max_execution_time": SECONDS,
        "max_result_bytes": RESULT_BYTES,
        "max_threads": max(1, (os.cpu_count() or 1) // 2),
        "max_temporary_data_on_disk_size_for_query": MOST_MEMORY,
        "max_block_size": 65_409,
    }


def reader_settings(asked: Mapping[str, str]) -> dict[str, str]:
    """What a reader's query runs under.

    Args:
        asked: Settings the reader named; a bound may be lowered, never lifted.

    Raises:
        QueryRefused: One is not on the list.
    """
    limits = bounds()
    for name in asked:
        if name not in READER_SETTINGS | IGNORED_SETTINGS and name not in limits:
            raise QueryRefused(READONLY, f"Cannot modify {name!r} setting in readonly mode (READONLY)")
    free = {name: value for name, value in asked.items() if name in READER_SETTINGS}
    return {**free, **{name: _lowered(asked.get(name, ""), most) for name, most in limits.items()}}


def _lowered(asked: str, most: int) -> str:
    """The smaller of the two; 0, which is ClickHouse's "no bound", and what is no number give the bound."""
    try:
        wanted = float(asked)
    except ValueError:
        return str(most)
    return asked if 0 < wanted < most else str(most)
