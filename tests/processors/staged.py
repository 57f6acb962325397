"""Partitions of a stage for tests: records for it, and what a worker would do with them, without Kafka and Faust."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache, partial
from random import Random
from typing import Any, Final

import msgspec

from obflow.settings import Settings
from processors.contract import Emit, Stage
from processors.stages import STAGES
from processors.worker.cut import SourceBatch
from processors.worker.partition import HeldPartition
from processors.worker.places import NamedLog
from processors.worker.promises import BrokenPromise
from schemas.codec import decode, encode
from schemas.logs import LogId
from schemas.messages import ContractKind, FeedState, FeedStatus, QuoteRecord, Source, Status
from schemas.topics import FEED_STATUS, L2, QUOTES, Topic
from tests.processors.counter import TRADED, CounterStage
from tests.processors.generated import GRIDS, Producer

LOG = LogId("l2.v1", "OqQGnAVAQsuTXmL131QzrQ")
OTHER_LOG = LogId("l2.v1", "gWOcBj2eQsuTXmL131QzrQ")
PARTITION = 3
EVERY_STAGE: Final[dict[str, type[Stage[Any, Any]]]] = {**STAGES, "counter": CounterStage}
"""Those of the registry, and one that is none of it."""


BRIEF: Final[dict[str, dict[str, object]]] = {
    "books": {"engine": "reference"},
    "signals": {"half_life_seconds": 3.0, "warmup_seconds": 1.0, "imbalance_enter": 0.6, "flow_enter": 0.6}
    | {"need_trend": False, "trend_seconds": 1.0, "trend_before_seconds": 2.0},
    "anomalies": {"warmup_seconds": 1.0, "half_life_seconds": 2.0, "shift_z": 0.2, "shift_share": 0.99}
    | {"shift_held_seconds": 0.0, "rearm_z": 0.1, "status_held_seconds": 0.0},
    "levels": {"warmup_seconds": 0.0, "half_life_seconds": 5.0, "spread_ticks": 1, "spread_multiple": 1.0}
    | {"spread_held_seconds": 0.0},
    "quotes": {"symbols": "nowhere S0 A USDT; nowhere S1 B USDT; nowhere S2 C USDT"},
    "arbitrage": {"min_notional": 1.0},
    "fees": {"table": "binance linear regular 2023-01-01 1 2; binance-futures linear regular 2023-01-01 1 2"},
}
"""Settings under which a stage has something to say within the minute that the logs of these tests last, and the engine
that is the definition: which one `auto` is, the host says."""


@dataclass
class KafkaRecord:
    """A record as the consumer hands it over."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 1_700_000_000_000
    timestamp_type: int = 1


@dataclass
class WantsAll:
    """A companion that wants everything, and keeps what it was given."""

    wanted: bool = True
    given: list[tuple[str, Any]] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)

    def wants(self, key: str, offer: Any) -> bool:
        return self.wanted

    def enqueue(self, key: str, offer: Any, owner: object) -> None:
        self.given.append((key, offer))

    def dropped(self, reason: str) -> None:
        self.drops[reason] += 1

    def assigned(self, partitions: object) -> None:
        pass

    async def run(self) -> None:
        pass

    async def close(self) -> None:
        pass


def stage_of(name: str, **options: object) -> Stage[Any, Any]:
    """A stage as the settings make it, with times that fit a short log, but for these options."""
    kind, settings = EVERY_STAGE[name], Settings()
    section: Any = getattr(settings, kind.role)
    shared = (getattr(settings, one).model_copy(update=BRIEF.get(one, {})) for one in kind.shares)
    return kind(section.model_copy(update=BRIEF.get(name, {}) | options), *shared)


class Reader:
    """A partition of a stage, and what is known of it elsewhere: checkpoints, and what was sent.

    Attributes:
        held: The partition.
        saved: Checkpoints, by key.
        unreadable: Keys whose checkpoint could not be used.
        broken: What was told of checkpoints that are promised and not there.
        sent: What the stage emitted.
        counts: What it had counted, by metric and label's value.
        skipped: Records its states held already.
    """

    def __init__(
        self,
        stage: Stage[Any, Any],
        position: int = 0,
        saved: dict[str, bytes] | None = None,
        *,
        log: LogId = LOG,
        companion: WantsAll | None = None,
        partition: int = PARTITION,
        named_log: NamedLog | None = None,
        log_start: int | None = None,
        is_whole: bool = True,
        is_foreign: bool = False,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        self.saved = {} if saved is None else saved
        self.companion = companion
        self.unreadable: list[str] = []
        self.broken: list[BrokenPromise] = []
        self.sent: list[Emit] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.skipped = 0
        self.held: HeldPartition[Any, Any] = HeldPartition(
            stage,
            partition,
            position,
            log=log,
            load=self.saved.get,
            unreadable=lambda key, _: self.unreadable.append(key),
            checkpoint_s=5.0,
            companion=companion,
            named_log=named_log,
            log_start=log_start,
            is_whole=is_whole,
            is_foreign=is_foreign,
            was_refused=refused.__contains__,
            broken=self.broken.append,
        )

    def read(self, records: list[KafkaRecord], now_s: float = 0.0) -> list[Emit]:
        """Read records as the agent does; what they made the stage emit."""
        before = len(self.sent)
        for run in self.held.decode(records).runs:
            processed = self.held.process(run, now_s)
            self.sent.extend(processed.emitted.records)
            self.counts.update({(one.metric, one.value): one.number for one in processed.emitted.counts})
            self.skipped += processed.skipped
        if records:
            self.held.offsets.advance(records[-1].offset + 1)
        return self.sent[before:]

    def save(self, now_s: float = 0.0, *, everything: bool = True) -> list[str]:
        """Save what is due; the keys that were."""
        due = self.held.begin_checkpoints(now_s, everything=everything)
        for one in due:
            self.saved[one.key] = one.payload
            one.saved()
        return [one.key for one in due]

    def timed(self, now_s: float) -> list[Any]:
        """What time alone brings now, decoded."""
        return [decode(emit.value) for emitted in self.held.timers(now_s) for emit in emitted.records]


def batch_of(records: list[KafkaRecord], start: int | None = None) -> SourceBatch:
    first = records[0].offset if start is None else start
    return SourceBatch(PARTITION, first, records[-1].offset + 1, 1, list(records))


def book_log(
    seed: int, instruments: int, records: int, wild: float = 0.1, step_ns: int = 60_000_000
) -> list[KafkaRecord]:
    """L2 records of several instruments in one partition, drawn in turn at random."""
    random = Random(seed)
    producers = [
        Producer(Random(seed + number), 60_000, 40, 500, GRIDS[number % len(GRIDS)], wild, step_ns)
        for number in range(instruments)
    ]
    drawn = [
        msgspec.structs.replace((producer := random.choice(producers)).next(), symbol=f"S{producers.index(producer)}")
        for _ in range(records)
    ]
    return [KafkaRecord(offset, str(record.instrument).encode(), encode(record)) for offset, record in enumerate(drawn)]


def traded_log(seed: int, records: int) -> list[KafkaRecord]:
    """Records of three canonical symbols on two venues, for the counter."""
    random = Random(seed)
    found = []
    for offset in range(records):
        base = random.choice(("BTC", "ETH", "SOL"))
        value = {"base": base, "quote": "USDT", "venue": random.choice(("binance", "okx")), "received_ns": 1 + offset}
        found.append(KafkaRecord(offset, f"{base}-USDT".encode(), msgspec.json.encode(value)))
    return found


def quoted_log(seed: int, records: int) -> list[KafkaRecord]:
    """Quotes of three canonical symbols on two venues each, some of them broken, some too late."""
    random = Random(seed)
    found, at_ns = [], 1_700_000_000_000_000_000
    for offset in range(records):
        base = "ABC"[offset] if offset < 3 else random.choice("ABC")
        venue = random.choice(("binance", "binance-futures"))
        at_ns += random.choice((10_000_000, 50_000_000, 700_000_000))
        status = random.choices([Status.OK, Status.RESYNCING], [0.95, 0.05])[0]
        head = (venue, f"{base}USDT", f"{base}-USDT-linear", Source.LIVE, status, 1, at_ns, at_ns)
        grid = ("0.1", random.choice(("0.1", "0.25")), "1", ContractKind.LINEAR)
        quote = QuoteRecord(*head, *grid, "aaaaaaaa", 0, offset, *ladders(random, 3, 7))
        found.append(KafkaRecord(offset, quote.canonical.encode(), encode(quote)))
    return found


def ladders(random: Random, levels: int = 5, jump: int = 15) -> tuple[list[int], list[int], list[int], list[int]]:
    """Bids and asks about a mid that jumps, ticks and lots."""
    mid = 1_000 + random.randint(-jump, jump)
    bids, asks = sorted(random.sample(range(1, 12), levels)), sorted(random.sample(range(1, 12), levels))
    sizes = [[random.randint(1, 30) for _ in range(levels)] for _ in range(2)]
    return [mid - away for away in bids], sizes[0], [mid + away for away in asks], sizes[1]


def status_log(seed: int, records: int) -> list[KafkaRecord]:
    """Statuses of three instruments, some of them heartbeats, from one source or another."""
    random, found, at_ns = Random(seed), [], 1_700_000_000_000_000_000
    for offset in range(records):
        at_ns += random.choice((0, 500_000_000, 10_000_000_000))
        source = random.choices([Source.LIVE, Source.REPLAY], [0.9, 0.1])[0]
        state = random.choice((FeedState.LIVE, FeedState.LIVE, FeedState.STALE, *FeedState))
        symbol = f"S{offset if offset < 3 else random.randrange(3)}"
        status = FeedStatus("binance", symbol, source, state, 1, at_ns, heartbeat=random.random() < 0.3)
        found.append(KafkaRecord(offset, str(status.instrument).encode(), encode(status)))
    return found


BY_HAND: Final = {
    TRADED: traded_log,
    QUOTES: quoted_log,
    FEED_STATUS: status_log,
    L2: partial(book_log, instruments=3, step_ns=1_000_000_000),
}
"""What no stage writes. A stage that reads another such topic needs a line here."""
PIECE: Final = 20
"""Records read at once to make the next stage's log: small, so that its records are many."""


@cache
def _log_of(topic: Topic, seed: int, records: int) -> tuple[KafkaRecord, ...]:
    if topic in BY_HAND:
        return tuple(BY_HAND[topic](seed, records=records))
    [writer] = [name for name, kind in STAGES.items() if topic in kind.writes]
    reader, source = Reader(stage_of(writer)), log_of(STAGES[writer].reads, seed, records)
    for first in range(0, len(source), PIECE):
        reader.read(source[first : first + PIECE])
    emitted = [emit for emit in reader.sent if emit.topic == topic]
    return tuple(KafkaRecord(offset, emit.key.encode(), emit.value) for offset, emit in enumerate(emitted))


def log_of(topic: Topic, seed: int, records: int) -> list[KafkaRecord]:
    """A partition of any topic that a stage reads: made by the stage that writes it, down to books made by hand.

    Args:
        topic: Which.
        seed: Of everything random.
        records: How many records the first stage of the chain reads.
    """
    return [replace(record) for record in _log_of(topic, seed, records)]


def saved_after(stage: Stage[Any, Any], records: list[KafkaRecord]) -> dict[str, bytes]:
    """The checkpoints of a partition that has read these records."""
    reader = Reader(stage)
    reader.read(records)
    reader.save()
    return reader.saved


def told(emit: Emit) -> list[tuple[str, str, bytes]]:
    """What a record says, one by one and without how it is packed: topic, key, and the part in canonical bytes."""
    if emit.topic.record == "json":
        return [(emit.topic.name, emit.key, emit.value)]
    record = decode(emit.value)
    parts = getattr(record, "events", None)
    said = parts if isinstance(parts, list) else [record]
    return [(emit.topic.name, emit.key, msgspec.json.encode(part)) for part in said]
