"""Every Kafka topic, one line each. A topic name written anywhere else fails a test.

Topics that carry an instrument's records have the key `venue:symbol` and the same number of partitions, so that one
instrument is in the same partition everywhere and one consumer sees it whole.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from schemas.units import MS_PER_DAY

NO_LIMIT_MS = -1


class Topic(NamedTuple):
    """One topic.

    Attributes:
        name: Name on the broker, before any prefix.
        record: Schema of its values (`schemas/avro/<record>.v<N>.avsc`), or `checkpoint` for the processors' changelog.
        key: What its key is.
        cleanup: Kafka's cleanup policy.
        retention_ms: Kafka's retention, by the broker's append time; -1 keeps for ever.
        written_by, read_by: Roles.
        meaning: One line.
        whole_ms: Of a compacted topic: for so long after it was written no record is taken out of it.
    """

    name: str
    record: str
    key: str
    cleanup: Literal["delete", "compact"]
    retention_ms: int
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    meaning: str
    whole_ms: int = 0


L2 = Topic(
    "l2.v1",
    "l2",
    "venue:symbol",
    "delete",
    2 * MS_PER_DAY,
    ("producers",),
    ("processors", "levels", "quotes"),
    "books, update by update",
)
TRADES = Topic(
    "trades.v1", "trades", "venue:symbol", "delete", 2 * MS_PER_DAY, ("producers",), ("sinks",), "public trades"
)
DERIVATIVES = Topic(
    "derivatives.v1",
    "derivatives",
    "venue:symbol",
    "delete",
    2 * MS_PER_DAY,
    ("producers",),
    ("sinks",),
    "funding, mark price and open interest",
)
FEED_STATUS = Topic(
    "feed-status.v1",
    "feed-status",
    "venue:symbol",
    "delete",
    7 * MS_PER_DAY,
    ("producers",),
    ("sinks", "producers", "staleness"),
    "changes and heartbeats of each feed",
)
FEED_QUALITY = Topic(
    "feed-quality.v1",
    "feed-quality",
    "venue:symbol",
    "delete",
    7 * MS_PER_DAY,
    ("producers",),
    ("sinks",),
    "latencies, losses and reconnects of each feed, minute by minute",
)
FACTORS = Topic(
    "factors.v1",
    "factors",
    "venue:symbol",
    "delete",
    2 * MS_PER_DAY,
    ("processors",),
    ("sinks", "regimes", "signals", "anomalies"),
    "factor events",
)
RESYNC = Topic(
    "resync.v1",
    "resync",
    "venue:symbol",
    "delete",
    MS_PER_DAY,
    ("processors",),
    ("producers",),
    "requests for a snapshot",
)
DEAD_LETTERS = Topic(
    "dead-letters.v1",
    "dead-letters",
    "letter_id",
    "delete",
    14 * MS_PER_DAY,
    (
        "producers",
        "processors",
        "regimes",
        "signals",
        "anomalies",
        "levels",
        "staleness",
        "quotes",
        "arbitrage",
        "sinks",
    ),
    ("sinks",),
    "messages that could not be used, with cause and origin",
)
BOOKS_CHANGELOG = Topic(
    "obflow-processor-books-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("processors",),
    ("processors",),
    "the processors' checkpoints: book and rolling state of each instrument",
)
REGIMES = Topic(
    "regimes.v1",
    "regimes",
    "venue:symbol",
    "delete",
    7 * MS_PER_DAY,
    ("regimes",),
    ("sinks",),
    "one judgement of each window by the rules, and one by the language model where it was asked",
)
LLM_CALLS = Topic(
    "llm-calls.v1",
    "llm-calls",
    "venue:symbol",
    "delete",
    7 * MS_PER_DAY,
    ("regimes",),
    ("sinks",),
    "every request to the language model with its outcome, latency and cost",
)
ROLLOUT = Topic(
    "rollout.v1",
    "rollout",
    "regimes",
    "compact",
    NO_LIMIT_MS,
    ("regimes",),
    ("regimes", "sinks"),
    "how far a language model is rolled out, and what is asked for by hand",
    whole_ms=7 * MS_PER_DAY,
)
REGIME_EVAL = Topic(
    "regime-eval.v1",
    "regime-eval",
    "model",
    "compact",
    NO_LIMIT_MS,
    ("evaluate",),
    ("regimes",),
    "what each language model's regimes are worth, mark after mark; the newest record of a model holds",
)
REGIMES_CHANGELOG = Topic(
    "obflow-regimes-windows-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("regimes",),
    ("regimes",),
    "the regime workers' checkpoints: open window and rule memory of each instrument",
)

SIGNALS = Topic(
    "signals.v1",
    "signals",
    "venue:symbol",
    "delete",
    7 * MS_PER_DAY,
    ("signals",),
    ("sinks",),
    "openings and closings of each kind of signal",
)
SIGNALS_CHANGELOG = Topic(
    "obflow-signals-kinds-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("signals",),
    ("signals",),
    "the signal workers' checkpoints: state and memory of each kind of signal of each instrument",
)
ANOMALIES = Topic(
    "anomalies.v1",
    "anomalies",
    "venue:symbol",
    "delete",
    7 * MS_PER_DAY,
    ("anomalies", "levels", "staleness"),
    ("sinks",),
    "episodes in which a book is not as it was",
)
ANOMALIES_CHANGELOG = Topic(
    "obflow-anomalies-episodes-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("anomalies",),
    ("anomalies",),
    "the anomaly workers' checkpoints: baselines and open episodes of each instrument",
)
LEVELS_CHANGELOG = Topic(
    "obflow-levels-books-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("levels",),
    ("levels",),
    "the level workers' checkpoints: book, spread and watched orders of each instrument",
)
STALENESS_CHANGELOG = Topic(
    "obflow-staleness-feeds-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("staleness",),
    ("staleness",),
    "the staleness workers' checkpoints: which feeds of each instrument are stale",
)
QUOTES = Topic(
    "quotes.v1",
    "quotes",
    "canonical symbol",
    "delete",
    MS_PER_DAY,
    ("quotes",),
    ("arbitrage", "sinks"),
    "tops of maintained books, those of all venues of a canonical symbol together",
)
QUOTES_CHANGELOG = Topic(
    "obflow-quotes-books-changelog",
    "checkpoint",
    "venue:symbol",
    "compact",
    NO_LIMIT_MS,
    ("quotes",),
    ("quotes",),
    "the quote workers' checkpoints: book and last quote of each instrument",
)
ARBITRAGE = Topic(
    "arbitrage.v1",
    "arbitrage",
    "canonical symbol",
    "delete",
    7 * MS_PER_DAY,
    ("arbitrage",),
    ("sinks",),
    "episodes in which two books of a canonical symbol cross, fees counted",
)
ARBITRAGE_CHANGELOG = Topic(
    "obflow-arbitrage-pairs-changelog",
    "checkpoint",
    "canonical symbol",
    "compact",
    NO_LIMIT_MS,
    ("arbitrage",),
    ("arbitrage",),
    "the arbitrage workers' checkpoints: newest quotes and open episodes of each canonical symbol",
)

TOPICS: tuple[Topic, ...] = (
    L2,
    TRADES,
    DERIVATIVES,
    FEED_STATUS,
    FEED_QUALITY,
    FACTORS,
    RESYNC,
    DEAD_LETTERS,
    BOOKS_CHANGELOG,
    REGIMES,
    LLM_CALLS,
    ROLLOUT,
    REGIME_EVAL,
    REGIMES_CHANGELOG,
    SIGNALS,
    SIGNALS_CHANGELOG,
    ANOMALIES,
    ANOMALIES_CHANGELOG,
    LEVELS_CHANGELOG,
    STALENESS_CHANGELOG,
    QUOTES,
    QUOTES_CHANGELOG,
    ARBITRAGE,
    ARBITRAGE_CHANGELOG,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
