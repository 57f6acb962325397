"""The recordings' books with the trades that a producer puts into their deltas, read from the frames by themselves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec

from schemas.messages import Kind, L2Record
from tests.processors.recorded import path_of, read_records


@cache
def traded_records(recordings: Path, venue: str) -> tuple[L2Record, ...]:
    """The snapshot and every delta after it, each delta with the trades received since the one before it."""
    path = path_of(recordings, venue)
    records, trades, at = read_records(path, venue), list(_trades(path)), 0
    found = []
    for record in records:
        ticks, lots = [], []
        while at < len(trades) and trades[at][0] <= record.received_ns:
            _, price, signed = trades[at]
            ticks.append(int(price / Decimal(record.tick_size)))
            lots.append(int(signed / Decimal(record.lot_size)))
            at += 1
        carries = record.kind is Kind.DELTA
        found.append(msgspec.structs.replace(record, trade_ticks=ticks, trade_lots=lots) if carries else record)
    return tuple(found)


def _trades(path: Path) -> Iterator[tuple[int, Decimal, Decimal]]:
    """Received time, price, and size, positive where the buyer was the aggressor."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if "@trade" not in line:
                continue
            frame = json.loads(line)
            data = json.loads(frame["raw"]).get("data", {})
            if data.get("e") == "trade" and Decimal(data["q"]):
                size = Decimal(data["q"])
                yield frame["received_ns"], Decimal(data["p"]), -size if data["m"] else size
