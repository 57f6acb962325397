"""What the tables say of regimes: minutes that came, judgements that were known, requests that were paid.

Asked instrument by instrument: the views go by instrument first, so each question reads its own rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from obflow.clickhouse import QueryFailed
from research.evaluation.rows import RULES, Call, Minute, RegimeForecast
from research.stored import UNKNOWN_TABLE
from schemas.errors import SchemaMismatch
from sinks.store import Store

INSTRUMENTS: Final = "SELECT DISTINCT venue, symbol, feed_source FROM regimes_once ORDER BY venue, symbol, feed_source"
MINUTES: Final = (
    "SELECT toInt64(toUnixTimestamp(mark)) * 1000000000, realised_variance, return_bps FROM regime_marks "
    "WHERE venue = {venue:String} AND symbol = {symbol:String} AND source = {source:String} ORDER BY mark"
)
# Of the rules, which judge every five seconds, the newest judgement up to each mark: no other is in force there.
FORECASTS: Final = (
    f"SELECT toUnixTimestamp64Nano(assumeNotNull(decided_at)) AS decided_ns, if(source = 'rule', '{RULES}', model), "  # noqa: S608 (our own names)
    "label, P_UP, P_VOLATILE, latency_ms, if(source = 'rule', rule_set, prompt_version) FROM regimes_once "
    "WHERE venue = {venue:String} AND symbol = {symbol:String} AND feed_source = {source:String} "
    "AND isNotNull(decided_at) ORDER BY decided_ns DESC, source_offset DESC LIMIT 1 BY source, source_log, "
    "if(source = 'rule', intDiv(decided_ns + 59999999999, 60000000000), toInt64(source_offset))"
)
CALLS: Final = "SELECT model, toUnixTimestamp64Nano(started_at), cost_usd FROM llm_calls"
PROBABILITIES: Final = ("p_up", "p_volatile")


class JudgedInstrument(NamedTuple):
    """An instrument that was judged, and where its frames came from."""

    venue: str
    symbol: str
    source: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}{'' if self.source == 'live' else f' ({self.source})'}"


class RegimeTables:
    """What is evaluated, out of the database. Errors as of `Store`.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def instruments(self) -> list[JudgedInstrument]:
        """Those with a judgement.

        Raises:
            SchemaMismatch: A table or view is not there.
        """
        try:
            self._store.query("SELECT mark FROM regime_marks LIMIT 0")
            return [JudgedInstrument(*row) for row in self._store.query(INSTRUMENTS)]
        except QueryFailed as failure:
            if failure.code == UNKNOWN_TABLE:
                raise SchemaMismatch(
                    failure.cause, next_step="`obflow tables apply` makes what is missing"
                ) from failure
            raise

    def minutes(self, instrument: JudgedInstrument) -> Iterator[Minute]:
        """What came after each mark."""
        for row in self._store.query(MINUTES, instrument._asdict()):
            yield Minute(str(instrument), *row)

    def forecasts(self, instrument: JudgedInstrument) -> Iterator[RegimeForecast]:
        """What was known at each mark; probabilities are null where the table has no column for them."""
        known = {row[0] for row in self._store.query("DESCRIBE TABLE regimes_once")}
        statement = FORECASTS
        for name in PROBABILITIES:
            statement = statement.replace(name.upper(), name if name in known else "NULL")
        rows: list[Any] = self._store.query(statement, instrument._asdict())
        for decided_ns, forecaster, label, *rest in reversed(rows):
            yield RegimeForecast(str(instrument), decided_ns, forecaster, label, *rest)

    def calls(self) -> list[Call]:
        """Every request to a model."""
        return [Call(*row) for row in self._store.query(CALLS)]
