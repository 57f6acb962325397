"""Builds one instrument's records by hand: sequences chain by themselves, unless a test says otherwise."""

from collections.abc import Sequence

from processors.factors.engine import FactorColumns
from processors.factors.reference.engine import ReferenceEngine
from processors.factors.reference.state import InstrumentState
from processors.factors.weights import OfiTable
from processors.settings import ProcessorSettings
from schemas.factors import FACTOR_NAMES
from schemas.messages import ContractKind, Kind, L2Record, Reason, Source

Levels = Sequence[tuple[int, int]]
Grid = tuple[str, str, str, ContractKind]

UNIT_GRID: Grid = ("1", "1", "1", ContractKind.SPOT)
MS = 1_000_000
SECOND = 1_000 * MS
THIN_NOTIONAL = ProcessorSettings().thin_notional
MEAN_SIZE = "12.5"
WEIGHTS = ("1", "0.9", "0.8", "0.5", "0.4", "0.3", "0.2", "-0.1", "0.05", "0.02")
WEIGHED = ("v S 1970-01-01", "nowhere SEEDED 2024-08-08", "binance-futures A 2023-11-14")
"""Instruments that have weights of integrated order flow, all the same, from a date before their first record on."""
OFI_TABLE = OfiTable("; ".join(f"{whose} {MEAN_SIZE} {' '.join(WEIGHTS)}" for whose in WEIGHED))
ENGINE = ReferenceEngine(THIN_NOTIONAL, OFI_TABLE)


class Feed:
    """A producer that says what it is told to. Times are ms since its start."""

    def __init__(self, grid: Grid = UNIT_GRID) -> None:
        self.grid = grid
        self.epoch = 1
        self.sequence = 0

    def snapshot(
        self, bids: Levels, asks: Levels, at: int = 0, *, epoch: int | None = None, routine: bool = False
    ) -> L2Record:
        self.epoch = self.epoch if epoch is None else epoch
        self.sequence += not routine
        return self._record(Kind.SNAPSHOT, bids, asks, at)

    def delta(
        self, bids: Levels = (), asks: Levels = (), at: int = 0, *, lost: int = 0, trades: Levels = ()
    ) -> L2Record:
        previous = self.sequence + lost
        self.sequence = previous + 1
        return self._record(Kind.DELTA, bids, asks, at, previous_sequence=previous, trades=trades)

    def invalid(self, at: int = 0, reason: Reason = Reason.DISCONNECT) -> L2Record:
        return self._record(Kind.INVALID, (), (), at, reason=reason)

    def _record(
        self,
        kind: Kind,
        bids: Levels,
        asks: Levels,
        at: int,
        previous_sequence: int | None = None,
        reason: Reason | None = None,
        trades: Levels = (),
    ) -> L2Record:
        return L2Record(
            venue="v",
            symbol="S",
            source=Source.REPLAY,
            kind=kind,
            reason=reason,
            epoch=self.epoch,
            sequence=self.sequence,
            previous_sequence=previous_sequence,
            received_ns=at * MS,
            tick_size=self.grid[0],
            lot_size=self.grid[1],
            contract_value=self.grid[2],
            contract_kind=self.grid[3],
            bid_ticks=[tick for tick, _ in bids],
            bid_lots=[lots for _, lots in bids],
            ask_ticks=[tick for tick, _ in asks],
            ask_lots=[lots for _, lots in asks],
            trade_ticks=[tick for tick, _ in trades],
            trade_lots=[lots for _, lots in trades],
        )


def process(records: Sequence[L2Record], state: InstrumentState | None = None, start: int = 0) -> FactorColumns:
    """All records in one batch, at offsets from `start`."""
    return ENGINE.step(state or fresh(), range(start, start + len(records)), records)


def fresh(thin_notional: float = THIN_NOTIONAL, max_levels: int | None = None) -> InstrumentState:
    """The state before the first record."""
    return InstrumentState(thin_notional, max_levels, OFI_TABLE)


def factors(result: FactorColumns, row: int = -1) -> dict[str, float | None]:
    """The factors of one event by name."""
    return dict(zip(FACTOR_NAMES, result.values[row], strict=True))


def history(result: FactorColumns, name: str) -> list[float | None]:
    """One factor over all events."""
    return [values[FACTOR_NAMES.index(name)] for values in result.values]
