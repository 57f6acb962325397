"""Ours against the brute force, event by event: statuses, nulls and values.

`python -m tests.processors.compare FOLDER` compares every event of both recordings and prints the largest differences.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

from processors.factors.engine import FactorColumns
from processors.factors.reference.state import InstrumentState
from schemas.factors import FACTOR_NAMES
from schemas.messages import L2Record
from tests.processors.brute_force import BruteForce, Expected
from tests.processors.feed import ENGINE, MEAN_SIZE, OFI_TABLE, WEIGHTS
from tests.processors.recorded import path_of, read_records

TOLERANCE = 1e-12
Z_TOLERANCE = 1e-9
VENUES = ("binance-futures", "binance")


def run(state: InstrumentState, records: Sequence[L2Record], start: int = 0) -> FactorColumns:
    """All records in one batch, at offsets from `start`."""
    return ENGINE.step(state, range(start, start + len(records)), records)


def expect(brute: BruteForce, record: L2Record, *, wanted: bool = True) -> Expected | None:
    """What the brute force says of one record."""
    return brute.feed(
        kind=record.kind.value,
        epoch=record.epoch,
        sequence=record.sequence,
        previous_sequence=record.previous_sequence,
        received_ns=record.received_ns,
        grid=(record.tick_size, record.lot_size, record.contract_value, record.contract_kind.value),
        bids=list(zip(record.bid_ticks, record.bid_lots, strict=True)),
        asks=list(zip(record.ask_ticks, record.ask_lots, strict=True)),
        coverage=record.coverage and record.coverage.value,
        bid_known=record.bid_known_ticks,
        ask_known=record.ask_known_ticks,
        quote_flow=record.quote_flow_lots,
        trades=list(zip(record.trade_ticks, record.trade_lots, strict=True)),
        wanted=wanted,
    )


def difference(name: str, ours: float | None, theirs: float | None) -> float:
    """|x - y| / max(1, |y|), as a multiple of the factor's tolerance; infinite where only one is null."""
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else float("inf")
    tolerance = Z_TOLERANCE if name.endswith("_z") else TOLERANCE
    return abs(ours - theirs) / max(1.0, abs(theirs)) / tolerance


def compare(
    records: Sequence[L2Record],
    thin_notional: float = 10_000.0,
    *,
    is_wanted: Callable[[int], bool] = lambda _: True,
    state: InstrumentState | None = None,
) -> dict[str, float]:
    """Largest difference of each factor over the wanted events, in tolerances.

    Raises:
        AssertionError: an event too many or too few, another status, or a difference beyond the tolerance.
    """
    state = state or InstrumentState(thin_notional=thin_notional, ofi_table=OFI_TABLE)
    weights = list(map(Fraction, WEIGHTS)) if records[0].venue == "nowhere" else []
    brute = BruteForce(Fraction(thin_notional), Fraction(MEAN_SIZE), weights)
    worst = dict.fromkeys(FACTOR_NAMES, 0.0)
    for row, record in enumerate(records):
        ours = run(state, [record], row)
        theirs = expect(brute, record, wanted=is_wanted(row))
        assert len(ours) == (theirs is not None), f"row {row}: {record.kind}, {ours.outcomes}, expected {theirs}"
        if theirs is None:
            continue
        assert ours.status == [theirs.status], f"row {row}: {ours.status}, expected {theirs.status}"
        if is_wanted(row):
            _compare_values(row, ours.values[0], theirs, worst)
    return worst


def _compare_values(row: int, values: Iterable[float | None], theirs: Expected, worst: dict[str, float]) -> None:
    assert set(theirs.values) <= set(FACTOR_NAMES)
    for name, ours in zip(FACTOR_NAMES, values, strict=True):
        expected = theirs.values.get(name)
        found = difference(name, ours, expected)
        assert found <= 1.0, f"row {row}: {name} is {ours!r}, expected {expected!r}"
        worst[name] = max(worst[name], found)


def main(folder: str) -> None:
    """Compare every event of both recordings."""
    for venue in VENUES:
        records = read_records(path_of(Path(folder), venue), venue)
        worst = compare(records)
        print(f"{venue}: {len(records)} events, every factor equal; largest differences in tolerances:")  # noqa: T201
        for name, found in sorted(worst.items(), key=lambda item: -item[1])[:8]:
            print(f"  {name}: {found:.2g}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
