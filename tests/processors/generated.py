"""Streams of L2 records nobody would record: empty, one-sided, locked, crossed and thin books, gaps, epochs, repeats.

A little producer keeps its own book and epochs and says true things most of the time. Everything follows from a seed.
"""

from dataclasses import dataclass, field
from random import Random

from schemas.messages import ContractKind, Coverage, Kind, L2Record, Reason, Source

GRIDS = (
    ("0.1", "0.001", "1", ContractKind.SPOT),
    ("0.01", "0.00001", "1", ContractKind.SPOT),
    ("0.5", "1", "0.01", ContractKind.LINEAR),
    ("0.1", "1", "100", ContractKind.INVERSE),
    ("0.0005", "0.1", "1", ContractKind.OPTION),
)
START_NS = 1_723_161_254_000_000_000


@dataclass
class Producer:
    """Draws one instrument's records."""

    random: Random
    centre: int
    reach: int
    largest: int
    grid: tuple[str, str, str, ContractKind]
    wild: float
    step_ns: int
    epoch: int = 1
    sequence: int = 100
    now_ns: int = START_NS
    is_live: bool = False
    is_wronged: bool = False
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    coverage: Coverage | None = None
    bid_known: int | None = None
    ask_known: int | None = None
    quotes: float = 0.0
    tape: Random | None = None
    trading: float = 0.0

    def records(self, count: int) -> list[L2Record]:
        return [self.next() for _ in range(count)]

    def next(self) -> L2Record:
        self.now_ns += self.random.choice((0, self.step_ns // 3, self.step_ns, 2 * self.step_ns))
        if not self.is_live:
            return self.random.choice((self.snapshot, self.snapshot, self.snapshot, self.delta, self.invalid))()
        if self.is_wronged and self.random.random() < 0.3:
            return self.snapshot()
        if self.random.random() >= self.wild:
            return self.delta()
        return self.random.choice(
            (
                self.snapshot,
                self.routine,
                self.widened,
                self.mismatch,
                self.gap,
                self.old_epoch,
                self.newer_delta,
                self.other_snapshot,
                self.regrid_unannounced,
                self.invalid,
                self.one_side_goes,
                self.cross,
                self.cross,
                self.duplicate_price,
            )
        )()

    # what a producer says when all is well

    def snapshot(self) -> L2Record:
        self.epoch += self.random.choice((0, 1)) if not self.is_live else 1
        self.sequence += self.random.randrange(1, 5)
        levels = self.random.choice((0, 1, 4, 30, 60))
        self.bids = {tick: lots for tick, lots in self._bids(levels) if lots}
        self.asks = {tick: lots for tick, lots in self._asks(levels) if lots}
        self.is_live, self.is_wronged = True, False
        self.bid_known = self.ask_known = None
        if self.coverage is Coverage.RANGE:
            self.bid_known = min(self.bids, default=None)
            self.ask_known = max(self.asks, default=None)
        return self._snapshot()

    def routine(self) -> L2Record:
        return self._snapshot()

    def widened(self) -> L2Record:
        """A routine snapshot that knows more of each side, as one has that was made of a fetched book."""
        if self.bid_known is not None and self.ask_known is not None:
            self.bid_known = max(0, self.bid_known - self.random.randrange(8))
            self.ask_known += self.random.randrange(8)
        return self._snapshot()

    def delta(self) -> L2Record:
        most = self.random.choice((0, 1, 3, 12))
        return self._delta(self._bids(most), self._asks(most))

    def invalid(self) -> L2Record:
        self.is_live = False
        self.epoch += self.random.choice((0, 0, 1))
        return self._record(Kind.INVALID, [], [], reason=Reason.DISCONNECT)

    # what goes wrong

    def gap(self) -> L2Record:
        self.is_wronged = True
        self.delta()  # lost on the way
        return self.delta()

    def mismatch(self) -> L2Record:
        self.is_wronged = True
        wrong = {**self.bids, self.centre - 1: self.bids.get(self.centre - 1, 0) + 1}
        return self._record(Kind.SNAPSHOT, list(wrong.items()), list(self.asks.items()))

    def other_snapshot(self) -> L2Record:
        self.is_wronged = True
        record = self._snapshot(sequence=self.sequence + 7)
        self.sequence += 7
        return record

    def old_epoch(self) -> L2Record:
        kind = self.random.choice((Kind.DELTA, Kind.SNAPSHOT, Kind.INVALID))
        reason = Reason.RESTART if kind is Kind.INVALID else None
        bids, asks = ([], []) if kind is Kind.INVALID else (self._bids(3), self._asks(3))
        return self._record(kind, bids, asks, epoch=self.epoch - 1, previous_sequence=self.sequence, reason=reason)

    def newer_delta(self) -> L2Record:
        self.is_wronged = True
        self.epoch += 1
        return self.delta()

    def regrid_unannounced(self) -> L2Record:
        self.is_wronged = True
        self.grid = (self.grid[0], self.grid[1] + "1", *self.grid[2:]) if "." in self.grid[1] else self.grid
        return self.delta()

    def one_side_goes(self) -> L2Record:
        gone = [(tick, 0) for tick in self.bids]
        return self._delta(gone, []) if self.random.random() < 0.5 else self._delta([], [(t, 0) for t in self.asks])

    def cross(self) -> L2Record:
        """A bid above the best ask. Nothing takes it away again but chance."""
        return self._delta([(min(self.asks, default=self.centre) + 1, 1)], [])

    def duplicate_price(self) -> L2Record:
        levels = self._bids(3)
        return self._delta([*levels, *((tick, self.random.randrange(3)) for tick, _ in levels)], self._asks(2))

    def _bids(self, most: int) -> list[tuple[int, int]]:
        """Mostly below the centre, at times at or above it, where asks are."""
        return self._levels(most, lambda: self.centre - self._far())

    def _asks(self, most: int) -> list[tuple[int, int]]:
        return self._levels(most, lambda: self.centre - 1 + self._far())

    def _far(self) -> int:
        return self.random.randrange(self.random.choice((2, 6, self.reach))) + (self.random.random() >= self.wild / 4)

    def _levels(self, most: int, price) -> list[tuple[int, int]]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        ticks = sorted({max(price(), 1) for _ in range(self.random.randint(0, most))})
        return [(tick, self.random.choice((0, 1, self.random.randint(1, self.largest)))) for tick in ticks]

    def _delta(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> L2Record:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for tick, lots in levels:
                side[tick] = lots
                if not lots:
                    del side[tick]
        previous, self.sequence = self.sequence, self.sequence + self.random.randrange(1, 5)
        return self._record(Kind.DELTA, bids, asks, previous_sequence=previous)

    def _trades(self) -> list[tuple[int, int]]:
        """A few trades near the centre, of either side; one in fifty has no size."""
        if self.tape is None or self.tape.random() >= self.trading:
            return []
        reach, most = min(self.centre - 1, 40), min(40 * self.largest, 2**63 - 1)
        largest = self.tape.choice((3, self.largest, most))
        return [
            (
                self.centre + self.tape.randint(-reach, reach),
                self.tape.choice((1, -1, -1)) * self.tape.randint(self.tape.random() >= 0.02, largest),
            )
            for _ in range(self.tape.choice((1, 1, 2, 9)))
        ]

    def _snapshot(self, sequence: int | None = None) -> L2Record:
        levels = list(self.bids.items()), list(self.asks.items())
        return self._record(Kind.SNAPSHOT, *levels, sequence=self.sequence if sequence is None else sequence)

    def _record(
        self,
        kind: Kind,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
        *,
        epoch: int | None = None,
        sequence: int | None = None,
        previous_sequence: int | None = None,
        reason: Reason | None = None,
    ) -> L2Record:
        coverage = self.coverage if kind is Kind.SNAPSHOT else None
        is_range = coverage is Coverage.RANGE
        trades = self._trades() if kind is Kind.DELTA else []
        counted = kind is Kind.DELTA and self.random.random() < self.quotes
        return L2Record(
            venue="nowhere",
            symbol="SEEDED",
            source=Source.SIMULATOR,
            kind=kind,
            reason=reason,
            epoch=self.epoch if epoch is None else epoch,
            sequence=self.sequence if sequence is None else sequence,
            previous_sequence=previous_sequence if kind is Kind.DELTA else None,
            exchange_ns=None if self.random.random() < 0.2 else self.now_ns + 1_270_000_000,
            received_ns=self.now_ns,
            tick_size=self.grid[0],
            lot_size=self.grid[1],
            contract_value=self.grid[2],
            contract_kind=self.grid[3],
            coverage=coverage,
            bid_known_ticks=self.bid_known if is_range else None,
            ask_known_ticks=self.ask_known if is_range else None,
            quote_flow_lots=self.random.randint(-self.largest, self.largest) if counted else None,
            quote_events=3 if counted else 0,
            trade_ticks=[tick for tick, _ in trades],
            trade_lots=[lots for _, lots in trades],
            bid_ticks=[tick for tick, _ in bids],
            bid_lots=[lots for _, lots in bids],
            ask_ticks=[tick for tick, _ in asks],
            ask_lots=[lots for _, lots in asks],
        )


def slow_stream(seed: int) -> list[L2Record]:
    """A stream of minutes."""
    return stream(seed, 150, slow=True)


def stream(seed: int, count: int = 120, *, slow: bool = False) -> list[L2Record]:
    """One instrument's records: calm, lively or wild, on a grid, with a pace, all drawn from the seed.

    Slow ones take minutes, and hardly break.
    """
    random = Random(seed)
    grid = random.choice(GRIDS)
    # Lots over price is no exact float: sums of large inverse sizes lose what the tolerance asks for.
    is_inverse = grid[3] is ContractKind.INVERSE
    producer = Producer(
        random,
        centre=random.choice((4_000 if is_inverse else 12, 400, 60_000, 6_000_000)),
        reach=random.choice((8, 40, 2_000)),
        largest=random.choice((3, 500, 800 if is_inverse else 20_000)),
        grid=grid,
        wild=random.choice((0.0, 0.03, 0.4)),
        step_ns=random.choice((1_000_000, 60_000_000, 400_000_000)),
        coverage=random.choice((None, Coverage.WHOLE, Coverage.RANGE, Coverage.RANGE, Coverage.TOP_N)),
        quotes=random.choice((0.0, 0.97, 1.0)),
    )
    producer.tape, producer.trading = Random(~seed), (0.9, 0.5, 0.0)[seed % 3]
    if slow:
        producer.step_ns, producer.wild, producer.trading = 1_200_000_000, 0.01 * (seed % 2), 0.6
    return producer.records(count)
