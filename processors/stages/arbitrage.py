"""Quotes to arbitrage: `quotes.v1` in, the steps of episodes in which two books of a canonical symbol cross out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import msgspec

from processors.arbitrage.events import arbitrage_event, arbitrage_rules, arbitrage_set
from processors.arbitrage.legs import leg_of
from processors.arbitrage.pairs import PairState, take_leg
from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.fees import FeeOptions, FeeTable
from processors.derived.followed import read_state
from processors.derived.outcomes import outcome_counts
from schemas.codec import decode_as, encode
from schemas.errors import MessageError
from schemas.messages import QuoteRecord
from schemas.places import Place, check_place
from schemas.topics import ARBITRAGE, ARBITRAGE_CHANGELOG, QUOTES, Topic


class ArbitrageStage:
    """Keeps the newest quote of each venue of a canonical symbol, and tells where two of them cross."""

    name = "arbitrage"
    role = "arbitrage"
    label = "arbitrage"
    reads = QUOTES
    writes: tuple[Topic, ...] = (ARBITRAGE,)
    changelog = ARBITRAGE_CHANGELOG
    layout = 1
    older = NONE_OLDER
    outlives_log = False
    names: NamedPlaces[PairState, QuoteRecord] | None = None
    shares: tuple[str, ...] = ("fees",)
    decode_records = 200
    step_records = 20

    def __init__(self, options: object, fees: FeeOptions) -> None:
        self._rules = arbitrage_rules(options)
        self._fees = FeeTable(fees.table, fees.tier)
        self._set = arbitrage_set(self._rules, self._fees)

    def decode(self, payloads: Sequence[bytes | None]) -> list[QuoteRecord | MessageError]:
        """Decode quotes."""
        return decode_each(partial(decode_as, QuoteRecord), payloads)

    def check(self, record: QuoteRecord, place: Place) -> None:
        """Refuse a quote of a canonical symbol of another partition."""
        check_place(record, place)

    def key(self, record: QuoteRecord) -> str:
        """The canonical symbol."""
        return record.canonical

    def fresh(self, key: str) -> PairState:
        """No quote yet."""
        return PairState()

    def dump(self, state: PairState) -> bytes:
        """Write down the newest quotes and the episodes."""
        return msgspec.msgpack.encode(state)

    def load(self, key: str, data: bytes) -> PairState:
        """Read them."""
        return read_state(data, PairState)

    def connects(self, state: PairState, record: QuoteRecord) -> bool:
        """Always: quotes do not say which one they follow."""
        return True

    def step(self, state: PairState, batch: Batch[QuoteRecord]) -> Emitted:
        """Take quotes to their pairs: one record for each step of an episode."""
        emits, found = [], Counter[str]()
        for offset, quote in zip(batch.offsets, batch.records, strict=True):
            for step in take_leg(state, leg_of(quote), self._rules, self._fees, found):
                event = arbitrage_event(quote, step, self._set, (batch.log, batch.partition, offset))
                found[f"arbitrage_{event.action.value}"] += 1
                emits.append(Emit(ARBITRAGE, batch.key, encode(event), offset, quote.received_ns, by_key=True))
        return Emitted(emits, outcome_counts(found))

    def due(self, state: PairState, now_s: float) -> Emitted:
        """Nothing: episodes follow from quotes alone."""
        return NOTHING

    def gauges(self, states: Iterable[PairState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())
