"""What an engine is: the seam behind which records of a book become factors.

Every engine gives the same bits as `reference/`, which is the definition; tests/contract/test_engines.py compares them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from orderbook.validity import Outcome, Validity
from processors.contract import Renewals
from processors.factors.weights import NO_TABLE, OfiTable
from schemas.codec import encode
from schemas.errors import MessageError
from schemas.factors import FACTOR_SET
from schemas.messages import FactorEvent, FactorRecord, InstrumentKey, L2Record, Reason, Source, Status

Values = tuple[float | None, ...]


class L2Row(Protocol):
    """What others than the engine read of a record, as `L2Record` has it. The rest is the engine's own."""

    @property
    def venue(self) -> str:
        """Exchange id."""

    @property
    def symbol(self) -> str:
        """The venue's own symbol."""

    @property
    def instrument(self) -> InstrumentKey:
        """Both."""

    @property
    def epoch(self) -> int:
        """Epoch of its producer."""

    @property
    def source(self) -> Source:
        """Live, replay or simulator."""

    @property
    def run(self) -> str:
        """What run of a producer wrote it."""


class EngineState(Protocol):
    """What others than the engine read of a state."""

    @property
    def validity(self) -> Validity:
        """What is known of the book."""

    @property
    def epoch(self) -> int:
        """The newest epoch obeyed."""


S = TypeVar("S", bound=EngineState)
R = TypeVar("R", bound=L2Row)


class Engine(Protocol[S, R]):
    """One engine. Pure: no clock, no chance, no I/O; any split of records into steps gives the same events.

    Attributes:
        name: In `ENGINES` and in the settings.
        layout: Number of what `dump` writes, an engine's own: what another wrote is converted before `load` sees it.
        older: Its layouts of versions before, written anew before `load` sees them.
    """

    name: str
    layout: int
    older: Renewals

    def __init__(self, thin_notional: float, ofi_table: OfiTable = NO_TABLE) -> None:
        """Take T, the notional in quote units below which a book is THIN, and the weights of integrated order flow.

        Raises ValueError where T is no notional.
        """

    @staticmethod
    def exported(data: bytes) -> bytes:
        """Write a checkpoint of `layout` as the reference would. Raises DecodeError: it is cut or impossible."""

    @staticmethod
    def imported(data: bytes) -> bytes:
        """Write a checkpoint of the reference as this engine would. Raises DecodeError: it is cut or impossible."""

    @property
    def taken(self) -> Mapping[str, int]:
        """How many records each way of taking them took, so far; empty where there is one way."""

    def decode(self, payloads: Sequence[bytes | None]) -> Sequence[R | MessageError]:
        """Decode values of `l2.v1`, one result each; called by the stage with all of a poll."""

    def rows(self, records: Sequence[L2Record]) -> Sequence[R]:
        """Take records that never were bytes, in the form that `step` takes; called by research."""

    def fresh(self) -> S:
        """The state before the first record."""

    def step(self, state: S, offsets: Sequence[int], rows: Sequence[R]) -> EventColumns:
        """Apply consecutive records of one instrument, at least one, to its state, which changes; give their events."""

    def judge(self, state: S, row: R) -> Outcome:
        """What a record's header says it will do to the book. Changes nothing."""

    def dump(self, state: S) -> bytes:
        """Write a state down, whole."""

    def load(self, data: bytes) -> S:
        """Read what `dump` wrote. Raises DecodeError: it is cut or impossible."""


@dataclass(frozen=True, slots=True)
class Break:
    """A book that broke at this reader and has not been healed since: what a resync request names.

    Attributes:
        reason: Gap, snapshot_mismatch, regrid or crossed.
        epoch: The reader's epoch.
        source_offset: Offset of the record that showed it.
        received_ns: That record's time.
        awaits_invalid: True where the producer follows the same rule (crossed) and will publish an `invalid` itself:
            ask only if none comes within a second. False: ask at once.
    """

    reason: Reason
    epoch: int
    source_offset: int
    received_ns: int
    awaits_invalid: bool


class EventColumns(Protocol):
    """The events of one batch, however an engine keeps them, and what the batch did."""

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many records had each outcome; their sum is the batch's length."""

    @property
    def resync(self) -> Break | None:
        """The break that is still open after the batch, or None."""

    @property
    def source_offset(self) -> Sequence[int]:
        """Of the record behind each event."""

    @property
    def received_ns(self) -> Sequence[int]:
        """Of the record behind each event."""

    @property
    def status(self) -> Sequence[Status]:
        """State of the book after each."""

    def __len__(self) -> int:
        """How many events."""

    def leave(self, places: Sequence[int]) -> None:
        """Drop all events but those at these places, which rise. What the batch did stays."""

    def events(self) -> list[FactorEvent]:
        """The events as records hold them."""

    def encoded(self, first: L2Row, log: str, partition: int) -> bytes:
        """The events, at least one, as one encoded factor record; arguments as of `FactorColumns`."""


@dataclass(slots=True)
class FactorColumns:
    """The events of one batch, as parallel columns, and what the batch did.

    Attributes:
        source_offset, sequence, exchange_ns, received_ns: Of the record behind each event.
        status: State of the book after it.
        values: One nullable float a factor, in the order of `schemas.factors.FACTORS`.
        outcomes: How many records had each outcome; their sum is the batch's length.
        resync: The break that is still open after the batch, or None.
    """

    source_offset: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    exchange_ns: list[int | None] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    status: list[Status] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    resync: Break | None = None

    def append(self, source_offset: int, record: L2Record, status: Status, values: Values) -> None:
        """Add the event of one record."""
        self.source_offset.append(source_offset)
        self.sequence.append(record.sequence)
        self.exchange_ns.append(record.exchange_ns)
        self.received_ns.append(record.received_ns)
        self.status.append(status)
        self.values.append(values)

    def __len__(self) -> int:
        return len(self.source_offset)

    def leave(self, places: Sequence[int]) -> None:
        """Drop all events but those at these places, which rise. What the batch did stays."""
        columns: tuple[list[Any], ...] = (
            *(self.source_offset, self.sequence, self.exchange_ns, self.received_ns, self.status, self.values),
        )
        for column in columns:
            column[:] = [column[place] for place in places]

    def events(self) -> list[FactorEvent]:
        """The events as records hold them."""
        return [
            FactorEvent(
                source_offset=offset,
                sequence=sequence,
                exchange_ns=exchange_ns,
                received_ns=received_ns,
                status=status,
                values=values,
            )
            for offset, sequence, exchange_ns, received_ns, status, values in zip(
                self.source_offset,
                self.sequence,
                self.exchange_ns,
                self.received_ns,
                self.status,
                self.values,
                strict=True,
            )
        ]

    def encoded(self, first: L2Row, log: str, partition: int) -> bytes:
        """The events as one encoded factor record.

        Args:
            first: A row of the batch, all of one feed source and run.
            log: First 8 characters of the source topic's id.
            partition: Of the source topic.
        """
        head = (first.venue, first.symbol, first.source, FACTOR_SET, log, partition)
        return encode(FactorRecord(*head, self.events(), first.run))
