"""What the tables say of regimes: minutes that came, judgements that were known, requests that were paid.

Asked instrument by instrument: the views go by instrument first, so each question reads its own rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from obflow.clickhouse import QueryFailed
from processors.regimes.window import WindowSummary
from research.comparison.windows import AskableWindow, StoredWindow, is_askable, rebuilt
from research.evaluation.rows import RULES, Call, Minute, RegimeForecast
from research.stored import UNKNOWN_TABLE
from schemas.errors import SchemaMismatch
from schemas.messages import InstrumentKey, Regime, Source
from sinks.migrate import views
from sinks.store import Store

INSTRUMENTS: Final = "SELECT DISTINCT venue, symbol, feed_source FROM regimes_once ORDER BY venue, symbol, feed_source"
MINUTES: Final = (
    "SELECT toInt64(toUnixTimestamp(mark)) * 1000000000, realised_variance, return_bps FROM regime_marks "
    "WHERE venue = {venue:String} AND symbol = {symbol:String} AND source = {source:String} ORDER BY mark"
)
# Of the rules, which judge every five seconds, the newest judgement up to each mark: no other is in force there.
FORECASTS: Final = (
    "SELECT venue, symbol, feed_source, toUnixTimestamp64Nano(assumeNotNull(decided_at)) AS decided_ns, "  # noqa: S608 (our own names)
    f"if(source = 'rule', '{RULES}', model), "
    "label, P_UP, P_VOLATILE, latency_ms, if(source = 'rule', rule_set, prompt_version) FROM regimes_once "
    "WHERE WHICH AND isNotNull(decided_at) ORDER BY decided_ns DESC, source_offset DESC "
    "LIMIT 1 BY venue, symbol, feed_source, source, arm, source_log, "
    "if(source = 'rule', intDiv(decided_ns + 59999999999, 60000000000), toInt64(source_offset))"
)
OF_ONE: Final = "venue = {venue:String} AND symbol = {symbol:String} AND feed_source = {source:String}"
SINCE: Final = "fromUnixTimestamp64Nano({since:Int64}, 'UTC')"
WINDOW: Final = (
    "events, usable_events, whole, mid, return_bps, imbalance, order_flow, depth, spread_bps, obi_l1_last, "
    "obi_l5_last, ofi_l1_1s_last, trade_flow, trade_volume, realised_variance"
)
WINDOWS: Final = (
    "SELECT toUnixTimestamp64Nano(window_start) AS start_ns, toUnixTimestamp64Nano(window_end), "  # noqa: S608 (our own names)
    f"{WINDOW}, label, toUnixTimestamp64Nano(assumeNotNull(decided_at)) AS decided_ns, source_log, run "
    f"FROM regimes_once WHERE {OF_ONE} AND source = 'rule' AND isNotNull(decided_at) AND window_end > {SINCE} "
    "ORDER BY decided_ns DESC, source_offset DESC LIMIT 1 BY run, start_ns"
)
CALLS: Final = "SELECT model, toUnixTimestamp64Nano(started_at), cost_usd FROM llm_calls WHERE outcome != 'not_asked'"
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
        self.require("regime_marks")
        return [JudgedInstrument(*row) for row in self._store.query(INSTRUMENTS)]

    def require(self, name: str) -> None:
        """Make sure that a table or view is there.

        Raises:
            SchemaMismatch: It is not.
        """
        try:
            self._store.query(f"SELECT * FROM {name} LIMIT 0")  # noqa: S608 (our own names)
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

    def minutes_since(self, since_ns: int) -> Iterator[tuple[JudgedInstrument, Minute]]:
        """What came after each mark later than this one, a whole minute, of every instrument.

        Events up to then are not read, so of an instrument without a mark there the first minute may be called broken.
        """
        for *instrument, mark_ns, variance, return_bps in self._store.query(_marks_since(), {"since": since_ns}):
            found = JudgedInstrument(*instrument)
            yield found, Minute(str(found), mark_ns, variance, return_bps)

    def forecasts(self, instrument: JudgedInstrument) -> Iterator[RegimeForecast]:
        """What was known at each mark; probabilities are null where the table has no column for them."""
        yield from self._forecasts(OF_ONE, instrument._asdict())

    def forecasts_since(self, since_ns: int) -> Iterator[RegimeForecast]:
        """The same of every instrument, of what was decided after a time, ns UTC."""
        yield from self._forecasts(f"decided_at > {SINCE}", {"since": since_ns})

    def _forecasts(self, which: str, values: dict[str, Any]) -> Iterator[RegimeForecast]:
        known = {row[0] for row in self._store.query("DESCRIBE TABLE regimes_once")}
        statement = FORECASTS.replace("WHICH", which)
        for name in PROBABILITIES:
            statement = statement.replace(name.upper(), name if name in known else "NULL")
        for venue, symbol, source, *rest in reversed(self._store.query(statement, values)):
            yield RegimeForecast(str(JudgedInstrument(venue, symbol, source)), *rest)

    def windows(self, instrument: JudgedInstrument, since_ns: int) -> Iterator[AskableWindow]:
        """The windows since a time, ns UTC, that a model could be asked about, in their order."""
        rows = self._store.query(WINDOWS, {**instrument._asdict(), "since": since_ns})
        source = Source(instrument.source)
        stored = (_stored_window(row, source) for row in reversed(rows))
        key = InstrumentKey(instrument.venue, instrument.symbol)
        yield from filter(is_askable, (AskableWindow(str(instrument), key, closed) for closed in rebuilt(stored)))

    def calls(self) -> list[Call]:
        """Every request to a model."""
        return [Call(*row) for row in self._store.query(CALLS)]


def _stored_window(row: Sequence[Any], source: Source) -> StoredWindow:
    *window, label, decided_ns, log, run = row
    return StoredWindow(WindowSummary(*window), Regime(label), decided_ns, log, source, run)


def _marks_since() -> str:
    """The view of marks over the events after a time alone, by the view's own text: there is no second definition."""
    [view] = [script for script in views() if script.name == "regime_marks"]
    select = view.statements[0].partition(" VIEW regime_marks AS")[2]
    narrowed = select.replace(
        "FROM factors_once\n        WHERE ", f"FROM factors_once WHERE received_at > {SINCE} AND "
    )
    return (
        "SELECT venue, symbol, source, toInt64(toUnixTimestamp(mark)) * 1000000000 AS mark_ns, realised_variance, "  # noqa: S608 (our own text)
        f"return_bps FROM ({narrowed}) WHERE mark_ns > {{since:Int64}} ORDER BY mark"
    )
