"""Records that a stranger could write into the topics of a running pipeline, seeded, each with who must refuse it.

They are made from the records that lie in the topics and from the declared types: whatever field a record gets, it is
spoiled here too. What a field may hold is asked of its declaration (`tests/contract/test_bounds.py` holds that against
the database); all else is known here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from msgspec import inspect

from schemas.codec import FRAME, RECORD_TYPES
from schemas.topics import (
    ANOMALIES,
    ANOMALIES_CHANGELOG,
    ARBITRAGE,
    ARBITRAGE_CHANGELOG,
    BOOKS_CHANGELOG,
    DEAD_LETTERS,
    DERIVATIVES,
    FACTORS,
    FEED_QUALITY,
    FEED_STATUS,
    L2,
    LEVELS_CHANGELOG,
    LLM_CALLS,
    QUOTES,
    QUOTES_CHANGELOG,
    REGIME_EVAL,
    REGIMES,
    REGIMES_CHANGELOG,
    RESYNC,
    ROLLOUT,
    SIGNALS,
    SIGNALS_CHANGELOG,
    STALENESS_CHANGELOG,
    TRADES,
    Topic,
)
from tests.schemas.nasty import raw_fields, written

READERS: dict[Topic, tuple[str, ...]] = {
    L2: ("processor",),
    TRADES: ("sink",),
    DERIVATIVES: ("sink",),
    FEED_STATUS: ("sink",),
    FACTORS: ("sink", "regimes"),
    RESYNC: ("producer",),
    DEAD_LETTERS: ("sink",),
    REGIMES: ("sink",),
    LLM_CALLS: ("sink",),
    BOOKS_CHANGELOG: ("processor",),
    REGIMES_CHANGELOG: ("regimes",),
}
NOT_SPOILED = frozenset(
    {
        *(SIGNALS, SIGNALS_CHANGELOG, ANOMALIES, ANOMALIES_CHANGELOG, LEVELS_CHANGELOG, STALENESS_CHANGELOG),
        *(QUOTES, QUOTES_CHANGELOG, ARBITRAGE, ARBITRAGE_CHANGELOG),
        *(ROLLOUT, FEED_QUALITY, REGIME_EVAL),
    }
)
"""No stage that writes or reads these runs in this pipeline, or none has written yet (feeds tell once a minute), so
nothing lies there to be spoiled. Their fields' bounds are held by tests/contract/test_bounds.py, records that do not
decode by the stages' suite."""
CHANGELOGS = (BOOKS_CHANGELOG, REGIMES_CHANGELOG)
HUGE_COUNT = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
SEVEN_MEGABYTES = 7_000_000
DAY_MS = 24 * 3600 * 1000
INT64 = (-(2**63), 2**63 - 1)


class Sample(NamedTuple):
    """A good record, as it lies in its topic."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes


class Surroundings(NamedTuple):
    """What a stranger can find out.

    Attributes:
        partitions: Of every topic.
        now_ms: Wall clock.
        topic_ids: By topic.
        book_ends: Of the books' log, by partition.
    """

    partitions: int
    now_ms: int
    topic_ids: dict[Topic, str]
    book_ends: dict[int, int]


class Poison(NamedTuple):
    """One record to be written.

    Attributes:
        sample: What it was made of: its topic, partition, key and value are what is written.
        kind: What is wrong with it.
        refused_by: The roles that must write a letter about it; none where nothing is wrong with it.
        headers: Its headers.
        value: Its value; None is a tombstone.
    """

    sample: Sample
    kind: str
    refused_by: tuple[str, ...]
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


Make = Callable[[Sample, Surroundings, Random], Poison | None]


def refused(sample: Sample, kind: str, value: bytes | None) -> Poison:
    return Poison(sample, kind, READERS[sample.topic], value)


# -- bytes that are no record


def junk(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "junk", random.randbytes(random.randint(1, 400)))


def empty(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "empty", b"")


def tombstone(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "tombstone", None)


def cut(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "cut", sample.value[: random.randrange(1, len(sample.value))])


def extended(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "extended", sample.value + random.randbytes(random.randint(1, 9)))


def large_junk(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample._replace(key=b"7 MB of junk"), "7 MB of junk", random.randbytes(SEVEN_MEGABYTES))


def wrong_magic(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "wrong magic", bytes([random.randint(1, 255)]) + sample.value[1:])


def unknown_schema(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample, "unknown schema", FRAME.pack(0, random.randint(100, 2**31)) + sample.value[FRAME.size :])


def huge_count(sample: Sample, around: Surroundings, random: Random) -> Poison:
    if sample.topic in (L2, FACTORS):  # whose last field is an array
        return refused(sample, "huge count", sample.value[:-1] + HUGE_COUNT)
    return refused(sample, "huge length", sample.value[: FRAME.size] + HUGE_COUNT + sample.value[FRAME.size + 1 :])


# -- values beyond their bounds


def beyond_bounds(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    name = sample.topic.record
    bounded = list(_bounded_integers(RECORD_TYPES[name]))
    path, low, high = random.choice(bounded)
    outside = [value for value in (low - 1, high + 1, *INT64) if INT64[0] <= value <= INT64[1]]
    outside = [value for value in outside if not low <= value <= high]
    if not outside:
        return None
    fields = raw_fields(name, sample.value)
    _set(fields, path, random.choice(outside))
    try:
        value = written(name, fields)
    except ValueError:
        return None  # the schema itself cannot carry it
    return refused(sample, f"{'.'.join(path)} out of bounds", value)


def not_finite(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    name = sample.topic.record
    fields = raw_fields(name, sample.value)
    holder = fields["events"][0] if name == "factors" else fields
    floats = [field for field, value in holder.items() if isinstance(value, float)]
    if not floats:
        return None
    holder[random.choice(floats)] = random.choice((float("nan"), float("inf"), float("-inf")))
    return refused(sample, "not finite", written(name, fields))


def escapes(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    name = sample.topic.record
    if name == "dead-letters":
        return None  # a letter may quote whatever it must
    fields = raw_fields(name, sample.value)
    symbol = random.choice(("\x1b[2J\x1b[31mBTC", "BTC\x00USDT", "BTC\r\nUSDT", "\u202eTDSUCTB", "\x85", ""))
    fields[random.choice(("venue", "symbol"))] = symbol
    key = f"{fields['venue']}:{fields['symbol']}".encode()
    return refused(sample._replace(key=key), "escapes", written(name, fields))


def large_text(sample: Sample, around: Surroundings, random: Random) -> Poison:
    name = sample.topic.record
    fields = raw_fields(name, sample.value)
    fields["letter_id" if name == "dead-letters" else "symbol"] = "S" * SEVEN_MEGABYTES
    return refused(sample._replace(key=b"7 MB of text"), "7 MB of text", written(name, fields))


# -- records that are not from here


def another_record(sample: Sample, around: Surroundings, random: Random) -> Poison:
    other = "trades" if sample.topic.record != "trades" else "resync"
    return refused(sample, "another record", EXAMPLES[other])


EXAMPLES: dict[str, bytes] = {}
"""A record of each type, to be put where it does not belong; filled by whoever has the samples."""


def another_partition(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    if sample.topic is DEAD_LETTERS:
        return None
    away = (sample.partition + random.randrange(1, around.partitions)) % around.partitions
    return refused(sample._replace(partition=away), "another partition", sample.value)


def far_epoch(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    name = sample.topic.record
    fields = raw_fields(name, sample.value)
    if "epoch" not in fields:
        return None
    fields["epoch"] = random.choice((around.now_ms + 2 * DAY_MS, 9_000_000_000_000, 2**62, 2**63 - 1))
    return refused(sample, "far epoch", written(name, fields))


def false_origin(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    name = sample.topic.record
    if sample.topic not in (FACTORS, REGIMES, RESYNC):
        return None
    fields = raw_fields(name, sample.value)
    where = random.choice(("ahead", "ahead", "far", "below", "partition"))
    if where == "partition":
        fields["source_partition"] = (fields["source_partition"] + 1) % around.partitions
    else:
        end = around.book_ends[sample.partition] + 10_000_000  # the log goes on while this is written
        first = {"ahead": end, "far": 2**62, "below": -1}[where]
        holders = fields["events"] if name == "factors" else [fields]
        for number, holder in enumerate(holders):
            holder["source_offset"] = first + number
    return refused(sample, f"false origin, {where}", written(name, fields))


def false_header(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    """It says that it was sent before, of a place in its own log that cannot be its first one."""
    if "sink" not in READERS[sample.topic]:
        return None
    partition = random.choice((sample.partition, (sample.partition + 1) % around.partitions))
    origin = f"{around.topic_ids[sample.topic]}:{partition}:{2**62}".encode()
    return Poison(sample, "false header", ("sink",), sample.value, (("obflow-origin", origin),))


def another_log(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    """Events of a log that is not the books': a table holds them under its name, and windows must not go over to it."""
    if sample.topic is not FACTORS:
        return None
    fields = raw_fields("factors", sample.value) | {"source_log": "elsewher"}
    return Poison(sample, "another log", ("regimes",), written("factors", fields))


# -- checkpoints


def changed(sample: Sample, around: Surroundings, random: Random) -> Poison:
    at = random.randrange(len(sample.value))
    value = bytes([*sample.value[:at], sample.value[at] ^ random.randint(1, 255), *sample.value[at + 1 :]])
    return refused(sample, "changed", value)


def another_key(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return refused(sample._replace(key=sample.key + b"X"), "another key", sample.value)


# -- odd, but nothing is wrong with them


def again(sample: Sample, around: Surroundings, random: Random) -> Poison:
    return Poison(sample, "again", (), _apart(sample, random))


def odd_key(sample: Sample, around: Surroundings, random: Random) -> Poison:
    key = random.choice((b"\x1b[2J", b"", b"\xff\xfe\x00", "😀:\r\n".encode()))
    return Poison(sample._replace(key=key), "odd key", (), _apart(sample, random))


def _apart(sample: Sample, random: Random) -> bytes:
    """The same record; what has an id of its own gets another one, since the same id twice would be a duplicate."""
    own = {TRADES: "trade_id", LLM_CALLS: "call_id"}.get(sample.topic)
    if own is None:
        return sample.value
    name = sample.topic.record
    return written(name, raw_fields(name, sample.value) | {own: f"odd-{random.getrandbits(64)}"})


def any_sequence(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    name = sample.topic.record
    fields = raw_fields(name, sample.value)
    holder = fields["events"][0] if name == "factors" else fields
    if "sequence" not in holder:
        return None
    holder["sequence"] = random.choice(INT64)
    return Poison(sample, "sequence at a limit", (), written(name, fields))


def fence_of_half_a_day(sample: Sample, around: Surroundings, random: Random) -> Poison | None:
    """An `invalid` of an epoch half a day ahead: what follows is of a lower one until its producer rises above it."""
    if sample.topic is not L2:
        return None
    arrays = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "trade_ticks", "trade_lots")
    fields = raw_fields("l2", sample.value) | {"kind": "invalid", "reason": "gap", "previous_sequence": None}
    fields |= {"epoch": around.now_ms + DAY_MS // 2, **{name: [] for name in arrays}}
    fields |= dict.fromkeys(("coverage", "bid_known_ticks", "ask_known_ticks", "quote_flow_lots"))
    fields |= {"quote_events": 0}
    return Poison(sample, "fence", (), written("l2", fields))


ANY: tuple[Make, ...] = (junk, empty, tombstone, cut, extended, large_junk)
AVRO: tuple[Make, ...] = (
    *ANY,
    wrong_magic,
    unknown_schema,
    huge_count,
    beyond_bounds,
    not_finite,
    escapes,
    large_text,
    another_record,
    another_partition,
    far_epoch,
    false_origin,
    false_header,
    another_log,
)
CHECKPOINTS: tuple[Make, ...] = (*ANY, changed, another_key, another_partition)
ODD: tuple[Make, ...] = (again, odd_key, any_sequence)
LARGE = frozenset({large_junk, large_text})


def poison_of(
    samples: dict[Topic, Sequence[Sample]], around: Surroundings, seed: int, each: int = 30
) -> Iterator[Poison]:
    """Records to be refused, `each` a topic and every kind that can be made at least once; then a few odd ones.

    Args:
        samples: Good records of each topic.
        around: What is known of the pipeline.
        seed: Of everything that is drawn.
        each: How many a topic.
    """
    random = Random(seed)
    EXAMPLES.update(
        {name: given[0].value for topic, given in samples.items() if (name := topic.record) in RECORD_TYPES}
    )
    for topic, given in samples.items():
        kinds = list(CHECKPOINTS if topic in CHANGELOGS else AVRO)
        made = 0
        while made < each:
            kind = kinds[0]
            kinds = kinds[1:] + [kind] * (kind not in LARGE)
            found = kind(random.choice(given), around, random)
            if found is not None:
                made += 1
                yield found
    for topic, given in samples.items():
        if topic not in (*CHANGELOGS, RESYNC):
            odd = (kind(random.choice(given), around, random) for kind in ODD)
            yield from (found for found in odd if found is not None)


def _bounded_integers(kind: type) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Integer fields with their bounds, those of packed events too."""
    for field in inspect.type_info(kind).fields:  # type: ignore[union-attr] # a struct
        yield from _bounds((field.encode_name,), field.type)


def _bounds(path: tuple[str, ...], kind: inspect.Type) -> Iterator[tuple[tuple[str, ...], int, int]]:
    if isinstance(kind, inspect.IntType) and kind.ge is not None and kind.le is not None:
        yield path, kind.ge, kind.le
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _bounds(path, one)
    elif isinstance(kind, inspect.ListType) and isinstance(kind.item_type, inspect.StructType):
        for inner, low, high in _bounded_integers(kind.item_type.cls):
            yield (*path, *inner), low, high


def _set(fields: dict[str, Any], path: tuple[str, ...], value: int) -> None:
    holder = fields
    for name in path[:-1]:
        holder = holder[name][0]
    holder[path[-1]] = value
