"""Every schema that was ever written, one line each. Ids are never reused; a record's last line is the one written.

A line of `factors` is added by `make factor`, which also writes the schema's file.
"""

from __future__ import annotations

from typing import NamedTuple


class SchemaVersion(NamedTuple):
    """One Avro schema: its wire id and where it is."""

    schema_id: int
    record: str
    version: int

    @property
    def filename(self) -> str:
        """Name of the file in `schemas/avro`."""
        return f"{self.record}.v{self.version}.avsc"


SCHEMAS: tuple[SchemaVersion, ...] = (
    SchemaVersion(1, "l2", 1),
    SchemaVersion(2, "trades", 1),
    SchemaVersion(3, "feed-status", 1),
    SchemaVersion(4, "factors", 1),
    SchemaVersion(5, "resync", 1),
    SchemaVersion(6, "dead-letters", 1),
    SchemaVersion(7, "regimes", 1),
    SchemaVersion(8, "llm-calls", 1),
    SchemaVersion(9, "l2", 2),
    SchemaVersion(10, "trades", 2),
    SchemaVersion(11, "feed-status", 2),
    SchemaVersion(12, "factors", 2),
    SchemaVersion(13, "regimes", 2),
    SchemaVersion(14, "llm-calls", 2),
    SchemaVersion(15, "signals", 1),
    SchemaVersion(16, "anomalies", 1),
    SchemaVersion(17, "quotes", 1),
    SchemaVersion(18, "arbitrage", 1),
    SchemaVersion(19, "regimes", 3),
    SchemaVersion(20, "llm-calls", 3),
    SchemaVersion(21, "llm-calls", 4),
    SchemaVersion(22, "derivatives", 1),
    SchemaVersion(23, "llm-calls", 5),
    SchemaVersion(24, "rollout", 1),
    SchemaVersion(25, "factors", 3),
    SchemaVersion(26, "regimes", 4),
    SchemaVersion(27, "rollout", 2),
    SchemaVersion(28, "regime-eval", 1),
    SchemaVersion(30, "llm-calls", 6),
    SchemaVersion(34, "feed-quality", 1),
    SchemaVersion(35, "regimes", 5),
)


def newest(record: str) -> SchemaVersion:
    """Find the version of a record that is written."""
    return [version for version in SCHEMAS if version.record == record][-1]
