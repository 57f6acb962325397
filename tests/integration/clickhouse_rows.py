"""Rows to insert where the test is about inserting, not about what is inserted."""

from __future__ import annotations

import uuid

import pyarrow as pa

NS = 1_700_000_000_123_456_789


def events(count: int, *, first: int = 0, received_ns: int = NS) -> pa.Table:
    offsets = range(first, first + count)
    return pa.table(
        {
            "k_off": pa.array(offsets, pa.uint64()),
            "received_at": pa.array([received_ns + offset for offset in offsets], pa.timestamp("ns", "UTC")),
            "venue": pa.array(["binance-futures"] * count),
            "mid": pa.array([None if offset % 3 == 0 else offset / 7 for offset in offsets], pa.float64()),
            "bids": pa.array([[offset, -offset] for offset in offsets], pa.list_(pa.int64())),
        }
    )


def token() -> str:
    return uuid.uuid4().hex
