"""Books to quotes: `l2.v1` in, tops of books out into `quotes.v1`, those of a canonical symbol in one partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from orderbook.validity import CONNECTS
from processors.arbitrage.tops import QuoteState, quote_of, take_record
from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.canonical import canonical_symbol, named_symbols
from processors.derived.outcomes import outcome_counts
from schemas.codec import decode_as, encode
from schemas.errors import MessageError
from schemas.messages import L2Record
from schemas.places import Place, check_place
from schemas.topics import L2, QUOTES, QUOTES_CHANGELOG, Topic


class QuoteOptions(Protocol):
    """What is read of the section `quotes`."""

    @property
    def least_ms(self) -> float:
        """Least time between two quotes of an instrument."""

    @property
    def heartbeat_seconds(self) -> float:
        """Longest time between two quotes of a book that receives records."""

    @property
    def symbols(self) -> str:
        """Base and quote of instruments whose names do not say them."""


class QuotesStage:
    """Keeps one book an instrument and tells its top."""

    name = "quotes"
    role = "quotes"
    label = "quote"
    reads = L2
    writes: tuple[Topic, ...] = (QUOTES,)
    changelog = QUOTES_CHANGELOG
    layout = 1
    older = NONE_OLDER
    outlives_log = False
    names: NamedPlaces[QuoteState, L2Record] | None = None
    shares: tuple[str, ...] = ()
    decode_records = 500
    step_records = 100

    def __init__(self, options: QuoteOptions) -> None:
        self._options = options
        self._named = named_symbols(options.symbols)

    def decode(self, payloads: Sequence[bytes | None]) -> list[L2Record | MessageError]:
        """Decode records."""
        return decode_each(partial(decode_as, L2Record), payloads)

    def check(self, record: L2Record, place: Place) -> None:
        """Refuse a record of an instrument of another partition, and an epoch far ahead of the record's time."""
        check_place(record, place)

    def key(self, record: L2Record) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> QuoteState:
        """A book that waits for its first snapshot."""
        return QuoteState()

    def dump(self, state: QuoteState) -> bytes:
        """Write down the book and what was told of it."""
        return state.to_bytes()

    def load(self, key: str, data: bytes) -> QuoteState:
        """Read them."""
        return QuoteState.from_bytes(data)

    def connects(self, state: QuoteState, record: L2Record) -> bool:
        """Whether the book takes the record for the next one."""
        return state.tracked.judge(record) in CONNECTS

    def step(self, state: QuoteState, batch: Batch[L2Record]) -> Emitted:
        """Take records to the book: one quote for each of its tops that is to be told."""
        emits, found = [], Counter[str]()
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            top = take_record(state, record, self._options.least_ms, self._options.heartbeat_seconds)
            if top is None:
                continue
            canonical = canonical_symbol(record.venue, record.symbol, record.contract_kind, self._named)
            found["quote" if canonical else "no_canonical_symbol"] += 1
            if canonical:
                quote = quote_of(record, top, canonical, (batch.log, batch.partition, offset))
                emits.append(Emit(QUOTES, canonical, encode(quote), offset, record.received_ns, by_key=True))
        return Emitted(emits, outcome_counts(found))

    def due(self, state: QuoteState, now_s: float) -> Emitted:
        """Nothing: quotes follow from records alone."""
        return NOTHING

    def gauges(self, states: Iterable[QuoteState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())
