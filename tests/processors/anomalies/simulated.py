"""The simulator's market as a producer would tell of it: a snapshot, then deltas of a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator

from producers.simulator.market import Market
from producers.simulator.market_spec import MarketSpec
from schemas.messages import ContractKind, Kind, L2Record, Source
from schemas.units import NS_PER_SECOND

START_NS = 1_700_000_000 * NS_PER_SECOND
STEP_NS = NS_PER_SECOND // 10
SPEC = MarketSpec("binance-futures", "BTCUSDT", "BTC", "USDT", "0.10", "0.001", 2, 3, 600_000, 500)

Levels = dict[int, int]


def simulated_records(seed: int, seconds: float, changes_per_second: float = 100.0) -> Iterator[L2Record]:
    """Records of one market; the same seed gives the same."""
    market = Market(SPEC, seed, START_NS, changes_per_second)
    yield _record(0, Kind.SNAPSHOT, dict(market.book.bids), dict(market.book.asks), [])
    for at in range(1, int(seconds * NS_PER_SECOND / STEP_NS)):
        sides: tuple[Levels, Levels] = ({}, {})
        trades = []
        while market.next_ns < START_NS + at * STEP_NS:
            step = market.step()
            for change in step.changes:
                sides[0 if change.is_bid else 1][change.tick] = change.lots
            trades += [(fill.tick, fill.lots if fill.buyer_is_aggressor else -fill.lots) for fill in step.fills]
        yield _record(at, Kind.DELTA, *sides, trades)


def _record(at: int, kind: Kind, bids: Levels, asks: Levels, trades: list[tuple[int, int]]) -> L2Record:
    return L2Record(
        venue=SPEC.venue,
        symbol=SPEC.symbol,
        source=Source.SIMULATOR,
        kind=kind,
        epoch=1,
        sequence=at,
        previous_sequence=at - 1 if kind is Kind.DELTA else None,
        received_ns=START_NS + at * STEP_NS,
        tick_size=SPEC.tick_size,
        lot_size=SPEC.lot_size,
        contract_kind=ContractKind.LINEAR,
        bid_ticks=list(bids),
        bid_lots=list(bids.values()),
        ask_ticks=list(asks),
        ask_lots=list(asks.values()),
        trade_ticks=[tick for tick, _ in trades],
        trade_lots=[lots for _, lots in trades],
    )
