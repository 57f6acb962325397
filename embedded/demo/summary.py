"""What the demo says at the end, asked of ClickHouse, and the verdict of the audit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obflow.clickhouse import Client

PER_INSTRUMENT = """
SELECT venue, symbol, count() AS events, countIf(status = 'OK') AS ok,
       round(avgIf(spread_bps, status = 'OK'), 4) AS spread_bps, round(avg(obi_l5), 4) AS imbalance,
       round(sum(ofi_l1), 3) AS order_flow
FROM factors GROUP BY venue, symbol ORDER BY venue, symbol
"""
REGIMES = (
    "SELECT venue, symbol, label, if(llm_unfaithful, concat(llm_label, ' (unfaithful)'), llm_label) "
    "FROM regime_in_force ORDER BY venue, symbol"
)
DERIVED = """
SELECT (SELECT countIf(action = 'open') FROM signals),
       (SELECT countIf(action = 'open' OR kind = 'spoofing_like') FROM anomalies),
       (SELECT countIf(action = 'open') FROM arbitrage), (SELECT max(net_bps) FROM arbitrage)
"""
GAPS = "SELECT count() FROM feed_status WHERE state = 'invalid' AND reason = 'gap'"


@dataclass
class Summary:
    """The demo's result: the object `--json` prints.

    Attributes:
        messages: Book and trade records acknowledged by the broker.
        factors: Distinct factor events stored.
        books_live: Books that were LIVE when the producers were told to stop.
        gaps: Sequence gaps found by the producers.
        lost, duplicates: By the audit: against an independent reading of the log.
        latency_ms: From the socket to the factor on the log; null where frames are not received now.
        rows: Rows of each table.
    """

    messages: int = 0
    factors: int = 0
    books_live: int = 0
    gaps: int = 0
    lost: int = 0
    duplicates: int = 0
    latency_ms: dict[str, float | None] = field(default_factory=lambda: {"p50": None, "p99": None})
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing came: no record on the log, no row in a table."""
        return not self.messages and not any(self.rows.values())

    @property
    def is_exact(self) -> bool:
        """Nothing was lost or doubled of what there was."""
        return not self.lost and not self.duplicates

    @property
    def is_good(self) -> bool:
        """Something went through, and nothing was lost or doubled."""
        return bool(self.messages and self.factors and self.is_exact)

    @property
    def told(self) -> str:
        """What came of it, in words."""
        return (
            f"of {self.messages:,} messages came {self.factors:,} factor events, {self.lost:,} were lost and"
            f" {self.duplicates:,} doubled"
        )

    def as_dict(self) -> dict[str, Any]:
        """The object `--json` prints."""
        return asdict(self)


def count_rows(client: Client, database: str) -> dict[str, int]:
    """Rows of each table, as a plain SELECT sees them."""
    names = client.query(
        "SELECT name FROM system.tables WHERE database = {db:String} AND engine LIKE '%MergeTree'"
        " AND name != 'migrations' ORDER BY name",
        parameters={"db": database},
    )
    counts = {}
    for (name,) in names.result_rows:
        found = client.query("SELECT count() FROM {t:Identifier}", parameters={"t": name})
        counts[str(name)] = int(found.result_rows[0][0])
    return counts


def sentences(client: Client, summary: Summary, *, planted: bool) -> list[str]:
    """The summary for a person, instrument by instrument.

    Args:
        client: Of the demo's database.
        summary: What came of the demo.
        planted: Whether gaps are there on purpose.
    """
    lines = [
        f"{venue}:{symbol}: {events:,} events, {ok / events:.1%} OK, mean spread {spread} bps,"
        f" mean imbalance {imbalance}, order flow {flow}"
        for venue, symbol, events, ok, spread, imbalance, flow in client.query(PER_INSTRUMENT).result_rows
    ]
    regimes = [
        f"{venue}:{symbol} {label}" + (f" (model: {beside})" if beside else "")
        for venue, symbol, label, beside in client.query(REGIMES).result_rows
    ]
    if regimes:
        lines.append(f"regimes in force: {', '.join(regimes)}")
    lines.append(_derived(*client.query(DERIVED).result_rows[0]))
    tables = ", ".join(f"{name} {count:,}" for name, count in summary.rows.items())
    p50, p99 = summary.latency_ms["p50"], summary.latency_ms["p99"]
    if p50 is not None and p99 is not None:
        lines.append(f"latency from the socket to the factor on the log: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    lines.append(f"rows: {tables}")
    lines.append(
        f"{summary.messages:,} messages, {summary.factors:,} factor events stored,"
        f" gaps {summary.gaps}{' (planted by the simulator)' if planted else ''},"
        f" lost {summary.lost}, duplicates {summary.duplicates}"
    )
    return lines


def _derived(signals: int, anomalies: int, episodes: int, best_bps: float | None) -> str:
    """What was made of the factors."""
    best = f", the best {best_bps:.1f} bps after fees" if best_bps is not None else ""
    return f"signals opened: {signals:,}; anomalies: {anomalies:,}; arbitrage episodes: {episodes:,}{best}"
