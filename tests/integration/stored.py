"""The factor rows of a database as a plain SELECT gives them."""

from __future__ import annotations

from obflow import clickhouse
from schemas.digest import EventDigest
from schemas.factors import FACTOR_NAMES
from schemas.messages import FactorEvent, InstrumentKey, Status

ROWS = (
    "SELECT source_offset, sequence, toUnixTimestamp64Nano(received_at), status, toUnixTimestamp64Nano(exchange_at), "  # noqa: S608 (our own names)
    f"{', '.join(FACTOR_NAMES)} FROM factors WHERE venue = {{venue:String}} AND symbol = {{symbol:String}} "
    "ORDER BY source_log, source_partition, source_offset"
)


def stored_digests(client: clickhouse.Client) -> dict[InstrumentKey, tuple[int, str]]:
    """Events and canonical digest of every instrument, in source order."""
    keys = client.query("SELECT DISTINCT venue, symbol FROM factors").result_rows
    return {key: _digest(client, key) for key in (InstrumentKey(venue, symbol) for venue, symbol in keys)}


def _digest(client: clickhouse.Client, instrument: InstrumentKey) -> tuple[int, str]:
    total = EventDigest()
    for offset, sequence, received_ns, status, exchange_ns, *values in client.query(
        ROWS, parameters=instrument._asdict()
    ).result_rows:
        total.update(FactorEvent(offset, sequence, received_ns, Status(status), tuple(values), exchange_ns))
    return total.events, total.hexdigest()
