"""A tiny reader of the two Binance recordings, written from the venue's rules alone: json and Decimal, none of ours.

It knows one instrument a file, one REST snapshot, and no gaps: what an adapter does beyond that is tested elsewhere.
"""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from schemas.messages import ContractKind, Kind, L2Record, Source

RECORDING = "BTCUSDT-20240808.frames.jsonl.gz"
EPOCH = 1_723_161_253_000


def path_of(recordings: Path, venue: str) -> Path:
    return recordings / venue / RECORDING


@cache
def read_records(path: Path, venue: str) -> tuple[L2Record, ...]:
    """The snapshot and every delta after it, as the L2 records a producer publishes for this file."""
    snapshot, diffs = _read(path)
    tick, lot = _finest(snapshot, diffs, 0), _finest(snapshot, diffs, 1)
    received_ns, body = snapshot
    last = body["lastUpdateId"]
    records = [_record(venue, tick, lot, received_ns, body["bids"], body["asks"], kind=Kind.SNAPSHOT, sequence=last)]
    for diff_ns, diff in diffs:
        if _is_older(venue, diff, body["lastUpdateId"]):
            continue
        _check_connects(venue, diff, last, is_first=len(records) == 1)
        exchange_ns = diff.get("T", diff["E"]) * 1_000_000
        times = {"exchange_ns": exchange_ns, "previous_sequence": last}
        received_ns = max(received_ns, diff_ns)
        last = diff["u"]
        delta = _record(venue, tick, lot, received_ns, diff["b"], diff["a"], kind=Kind.DELTA, sequence=last, **times)
        records.append(delta)
    return tuple(records)


def _read(path: Path) -> tuple[tuple[int, dict[str, Any]], list[tuple[int, dict[str, Any]]]]:
    snapshots, diffs = [], []
    for received_ns, via, frame in _frames(path):
        if via == "rest":
            snapshots.append((received_ns, frame))
        elif frame.get("data", {}).get("e") == "depthUpdate":
            diffs.append((received_ns, frame["data"]))
    [snapshot] = snapshots
    return snapshot, diffs


def _frames(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if "depth" in line or '"rest"' in line:
                frame = json.loads(line)
                yield frame["received_ns"], frame["via"], json.loads(frame["raw"])


def _is_older(venue: str, diff: dict[str, Any], snapshot_id: int) -> bool:
    """Futures drop u < L, spot u <= L."""
    return bool(diff["u"] < snapshot_id if venue == "binance-futures" else diff["u"] <= snapshot_id)


def _check_connects(venue: str, diff: dict[str, Any], last: int, *, is_first: bool) -> None:
    if venue == "binance-futures":
        connects = diff["U"] <= last <= diff["u"] if is_first else diff["pu"] == last
    else:
        connects = diff["U"] <= last + 1 <= diff["u"] if is_first else diff["U"] == last + 1
    assert connects, f"the recording has a gap at {diff['u']}"


def _finest(snapshot: tuple[int, dict[str, Any]], diffs: list[tuple[int, dict[str, Any]]], part: int) -> Decimal:
    body = snapshot[1]
    texts = {level[part] for level in body["bids"] + body["asks"]}
    for _, diff in diffs:
        texts.update(level[part] for level in diff["b"] + diff["a"])
    exponent = min(Decimal(text).normalize().as_tuple().exponent for text in texts if Decimal(text))
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(exponent, 0))


def _record(
    venue: str,
    tick: Decimal,
    lot: Decimal,
    received_ns: int,
    bids: list[list[str]],
    asks: list[list[str]],
    **fields: Any,
) -> L2Record:
    return L2Record(
        venue=venue,
        symbol="BTCUSDT",
        source=Source.REPLAY,
        epoch=EPOCH,
        received_ns=received_ns,
        tick_size=f"{tick:f}",
        lot_size=f"{lot:f}",
        contract_kind=ContractKind.SPOT if venue == "binance" else ContractKind.LINEAR,
        bid_ticks=[_whole(price, tick) for price, _ in bids],
        bid_lots=[_whole(size, lot) for _, size in bids],
        ask_ticks=[_whole(price, tick) for price, _ in asks],
        ask_lots=[_whole(size, lot) for _, size in asks],
        **fields,
    )


def _whole(text: str, step: Decimal) -> int:
    steps = Decimal(text) / step
    assert steps == int(steps)
    return int(steps)
