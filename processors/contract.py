"""What a stage is: pure code that `worker/` runs, with the same results for the same records wherever it runs.

A stage reads one topic and keeps one state for each key of it. All records of a key lie in one partition; a stage that
needs another key reads a topic that another stage writes by that key. No method may block, look at a clock or touch
anything but its arguments: time is a parameter, and what is to be sent or counted is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from schemas.errors import DecodeError, MessageError, UsageError
from schemas.places import Extent, NamedPlace, Place
from schemas.topics import Topic

S = TypeVar("S")
R = TypeVar("R")
L = TypeVar("L")
T = TypeVar("T", contravariant=True)
P = TypeVar("P", contravariant=True)


class Batch(NamedTuple, Generic[R]):
    """Consecutive records of one key, in source order.

    Attributes:
        key: Of the state.
        log: First 8 characters of the source topic's id: what derived records carry.
        partition: Of the source topic.
        offsets, records: In pairs, at least one.
        now_s: Monotonic time, seconds.
        age_ms: How long ago Kafka took them, at least: none of them is newer.
    """

    key: str
    log: str
    partition: int
    offsets: Sequence[int]
    records: Sequence[R]
    now_s: float
    age_ms: float = 0.0


class Emit(NamedTuple):
    """One record to be sent.

    Attributes:
        topic: One of those the stage writes.
        key, value: Of the record, the value encoded.
        source_offset: Not to be committed before the broker has this record; None holds nothing back.
        received_ns: When the newest of what it says was received, ns UTC, for latency.
        by_key: To the partition of its key. Else to the source's own, which is that of every `venue:symbol`.
        headers: Of the record.
    """

    topic: Topic
    key: str
    value: bytes
    source_offset: int | None
    received_ns: int = 0
    by_key: bool = False
    headers: tuple[tuple[str, bytes], ...] = ()


class Count(NamedTuple):
    """Something to be counted: a metric of `obflow.metric_list`, its one label with a value, and a number."""

    metric: str
    label: str
    value: str
    number: float


class Emitted(NamedTuple):
    """What came of a step.

    Attributes:
        records: To be sent, in this order.
        counts: Counters to be raised.
        warnings: Lines for the log, as fields; `event` names the line.
        offer: What a companion may take up. It is offered when the checkpoint that holds it is acknowledged, so at most
            once; a newer one of the same key takes its place.
    """

    records: Sequence[Emit] = ()
    counts: Sequence[Count] = ()
    warnings: Sequence[Mapping[str, Any]] = ()
    offer: object | None = None


NOTHING = Emitted()


class NamedPlaces(Protocol[T, P]):
    """The places in another log that a stage's records name: none may lie where that log has no record yet.

    Its records are taken one by one, each held against the log as it was after the record was read.

    Attributes:
        topic: The other log.
    """

    topic: Topic

    def named_by_record(self, record: P) -> NamedPlace | None:
        """The place that a record names, if it names one."""

    def named_by_state(self, state: T, partition: int) -> NamedPlace | None:
        """The newest place that a loaded state knows of, if any; one outside the log makes the state none."""

    def check(self, state: T, record: P, extent: Extent) -> None:
        """Hold what a record names against the log. Raises MessageError: the record becomes a dead letter."""


Renewals = Mapping[int, Callable[[bytes], bytes]]
"""By number of a layout: how a state of it is written anew. Raises DecodeError: it is cut or impossible."""
NONE_OLDER: Final[Renewals] = MappingProxyType({})


class Stage(Protocol[S, R]):
    """One stage. Its methods are called by `worker/partition.py`, on the event loop; none may block.

    Attributes:
        name: In `STAGES` and on the command line.
        role: Section of the settings with its `app_id` and `checkpoint_seconds`; its name in metrics and dead letters.
        label: Of its times in metrics.
        reads, writes: Its topics.
        changelog: Its checkpoints, `<app_id>-<table>-changelog`.
        layout: Number of what `dump` writes, 1 to 255; a checkpoint of another is refused.
        older: The layouts before it that are still read, and what makes bytes of `layout` of them.
        outlives_log: Whether a state still holds where the source topic was made anew.
        names: The places its records name, if they are to be held against a log.
        shares: Sections of the settings that several stages read; its constructor takes them after its own.
        decode_records, step_records: Most records of one `decode` and one `step`: others have their turn in between.
    """

    name: str
    role: str
    label: str
    reads: Topic
    writes: tuple[Topic, ...]
    changelog: Topic
    layout: int
    older: Renewals
    outlives_log: bool
    names: NamedPlaces[S, R] | None
    shares: tuple[str, ...]
    decode_records: int
    step_records: int

    def __init__(self, options: Any, *shared: Any) -> None:  # noqa: ANN401 (each says which attributes it reads)
        """Take the settings of its section, and of those it shares. Raises UsageError where they do not fit."""

    def decode(self, payloads: Sequence[bytes | None]) -> Sequence[R | MessageError]:
        """Decode values of consecutive records, one result each. An error becomes a dead letter; the others go on."""

    def check(self, record: R, place: Place) -> None:
        """Hold a record against where it lies. Raises MessageError: it becomes a dead letter, the others go on."""

    def key(self, record: R) -> str:
        """The key of the state that a record belongs to; it is in the partition that `partition_of` says."""

    def fresh(self, key: str) -> S:
        """The state before the first record, or where no checkpoint can be used."""

    def dump(self, state: S) -> bytes:
        """Write a state down, whole."""

    def load(self, key: str, data: bytes) -> S:
        """Read what `dump` wrote; called on the first record of a key. Raises DecodeError: the state is then fresh."""

    def connects(self, state: S, record: R) -> bool:
        """Whether a loaded state lacks nothing before this record; else its partition is read again, once.

        True where records do not say what they follow.
        """

    def step(self, state: S, batch: Batch[R]) -> Emitted:
        """Take records into a state, which changes, and say what is to be sent. Never called twice with one record."""

    def due(self, state: S, now_s: float) -> Emitted:
        """What time alone brings. Called of every state a few times a second; no checkpoint follows from it."""

    def gauges(self, states: Iterable[S], now_s: float) -> Iterable[Count]:
        """What is shown of all states of this worker together, at a monotonic time. Called as often as `due`."""


class PartitionOwner(Protocol):
    """The partition a key is in, as this worker holds it; `owned` turns false when another worker is given it."""

    @property
    def partition(self) -> int:
        """Which."""

    @property
    def owned(self) -> bool:
        """Whether it is still this worker's."""


class Companion(Protocol):
    """Works beside a stage and may wait, for a network for example; the stage never waits for it."""

    def wants(self, key: str, offer: Any) -> bool:  # noqa: ANN401 (the stage's own)
        """Whether to be offered this once it is saved; it is then saved at once. Must not block."""

    def enqueue(self, key: str, offer: Any, owner: PartitionOwner) -> None:  # noqa: ANN401 (the stage's own)
        """Take what was saved. Must not block."""

    def dropped(self, reason: str) -> None:
        """Count an offer that was wanted and will not come."""

    def assigned(self, partitions: Collection[int]) -> None:
        """Take note of which of the source's partitions this worker owns from now on. Must not block."""

    async def run(self) -> None:
        """Work, for ever."""

    async def close(self) -> None:
        """Give up what is under way."""


def decode_each(read: Callable[[bytes], R], payloads: Iterable[bytes | None]) -> list[R | MessageError]:
    """Decode values one by one with a function of one, for stages without a decoder of many."""
    return [_decoded(read, payload) for payload in payloads]


def _decoded(read: Callable[[bytes], R], payload: bytes | None) -> R | MessageError:
    if payload is None:
        return DecodeError("a record without a value")
    try:
        return read(payload)
    except MessageError as error:
        return error


def line_named(what: str, name: str, registry: Mapping[str, L]) -> L:
    """Find the line of a registry by its name.

    Args:
        what: What the registry holds, in the singular.
        name: The name.
        registry: It.

    Raises:
        UsageError: There is none.
    """
    if name in registry:
        return registry[name]
    close = get_close_matches(name, registry, n=1)
    step = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(registry))}"
    raise UsageError(f"there is no {what} {name!r}", next_step=step)
