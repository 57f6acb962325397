"""Every metric there is, once: name, kind, labels, unit, meaning, and on whose page it is.

`docs/metrics.md` is made of it. Units are the base units (seconds, bytes, records); labels are bounded by configuration
(a venue, a topic, a reason), never by data. To add a metric, add its name to the literal of its kind and a line here,
then `make metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

CounterName = Literal[
    "obflow_received_total",
    "obflow_emitted_total",
    "obflow_rejected_total",
    "obflow_dead_lettered_total",
    "obflow_ignored_total",
    "obflow_stored_total",
    "obflow_repeated_total",
    "obflow_insert_failures_total",
    "obflow_fenced_inserts_total",
    "obflow_compiled_total",
    "obflow_withheld_total",
    "obflow_gaps_total",
    "obflow_quote_checks_total",
    "obflow_levels_compared_total",
    "obflow_books_compared_total",
    "obflow_beyond_snapshot_total",
    "obflow_quote_mismatches_total",
    "obflow_trades_off_grid_total",
    "obflow_resyncs_total",
    "obflow_connections_total",
    "obflow_disconnects_total",
    "obflow_frame_fields_total",
    "obflow_rival_statuses_total",
    "obflow_list_reads_total",
    "obflow_fenced_records_total",
    "obflow_rebalances_total",
    "obflow_retries_total",
    "obflow_kafka_sent_bytes_total",
    "obflow_kafka_received_bytes_total",
    "obflow_derived_total",
    "obflow_llm_calls_total",
    "obflow_llm_questions_dropped_total",
    "obflow_llm_tokens_total",
    "obflow_llm_cost_usd_total",
    "obflow_llm_usage_missing_total",
    "obflow_llm_unfaithful_total",
    "obflow_llm_wrapped_total",
    "obflow_llm_cached_answers_total",
]
GaugeName = Literal[
    "obflow_lag_records",
    "obflow_lag_seconds",
    "obflow_books",
    "obflow_book_age_seconds",
    "obflow_checkpoint_age_seconds",
    "obflow_silent_channels",
    "obflow_gate_closed_seconds",
    "obflow_clock_offset_seconds",
    "obflow_llm_unasked_instruments",
    "obflow_llm_breaker",
    "obflow_buffered_records",
    "obflow_kafka_brokers_up",
    "obflow_kafka_round_trip_seconds",
    "obflow_kafka_queued_bytes",
    "obflow_leased_partitions",
    "obflow_relay_quota_messages",
    "obflow_table_failing",
    "obflow_missing_rows",
    "obflow_ready",
    "obflow_build_info",
]
HistogramName = Literal[
    "obflow_stage_latency_seconds",
    "obflow_batch_seconds",
    "obflow_exchange_latency_seconds",
]
MetricName: TypeAlias = CounterName | GaugeName | HistogramName
Role = Literal[
    "producer",
    "processor",
    "regimes",
    "signals",
    "anomalies",
    "levels",
    "staleness",
    "quotes",
    "arbitrage",
    "sink",
    "evaluate",
]

# From a millisecond, which one process needs, to the minute that a catch-up may take.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

PRODUCER: Final[tuple[Role, ...]] = ("producer",)
PROCESSOR: Final[tuple[Role, ...]] = ("processor",)
DERIVED: Final[tuple[Role, ...]] = ("signals", "anomalies", "levels", "staleness", "quotes", "arbitrage")
REGIMES: Final[tuple[Role, ...]] = ("regimes",)
WORKERS: Final = (*PROCESSOR, *REGIMES, *DERIVED)
SINK: Final[tuple[Role, ...]] = ("sink",)
LIBRDKAFKA: Final[tuple[Role, ...]] = ("producer", "sink")
"""Roles whose clients are librdkafka's; the workers' are aiokafka's, which has no such figures."""
ALL: Final[tuple[Role, ...]] = ("producer", *WORKERS, "sink")
"""Roles that records go through."""
EVALUATE: Final[tuple[Role, ...]] = ("evaluate",)
EVERY: Final[tuple[Role, ...]] = (*ALL, *EVALUATE)


class Metric(NamedTuple):
    """One metric.

    Attributes:
        meaning: One line, shown on the page.
        labels: Names of its labels.
        unit: Of its value.
        roles: On whose pages it is.
        once: What has to happen before it has a value; empty where a working role has one at once.
    """

    meaning: str
    labels: tuple[str, ...]
    unit: str
    roles: tuple[Role, ...]
    once: str = ""


COUNTERS: Mapping[CounterName, Metric] = {
    "obflow_received_total": Metric("Frames of a venue, or records of a topic, taken in.", ("source",), "records", ALL),
    "obflow_emitted_total": Metric("Records acknowledged by the broker.", ("topic",), "records", EVERY),
    "obflow_rejected_total": Metric("Messages refused, by reason.", ("reason",), "messages", ALL, "one was"),
    "obflow_dead_lettered_total": Metric(
        "Messages put aside with cause, origin and payload.", ("reason",), "messages", ALL, "one was"
    ),
    "obflow_ignored_total": Metric(
        "Messages that rightly change nothing, by reason.", ("reason",), "messages", ALL, "one came"
    ),
    "obflow_stored_total": Metric("Rows acknowledged by the database.", ("table",), "rows", (*SINK, *EVALUATE)),
    "obflow_repeated_total": Metric(
        "Rows sent again, by how they compare with the stored ones.", ("state",), "rows", SINK
    ),
    "obflow_insert_failures_total": Metric(
        "Inserts that ended without an answer, or were refused for good.", ("table",), "inserts", SINK
    ),
    "obflow_compiled_total": Metric(
        "Records by who took them: compiled code, or what stands behind it (the reference engine, the codec).",
        ("by",),
        "records",
        (*PROCESSOR, *SINK),
        "compiled code runs",
    ),
    "obflow_withheld_total": Metric(
        "Factor events that were computed and not sent, since the worker was late (processor.conflate_above_ms).",
        ("venue",),
        "events",
        PROCESSOR,
        "a worker withheld one",
    ),
    "obflow_fenced_inserts_total": Metric(
        "Inserts of which nothing was stored, since another sink had taken over the partitions.",
        ("table",),
        "inserts",
        SINK,
    ),
    "obflow_gaps_total": Metric(
        "Books that an update did not connect to.",
        ("venue",),
        "books",
        (*PRODUCER, *PROCESSOR),
        "a book of a processor broke",
    ),
    "obflow_quote_checks_total": Metric(
        "Books compared with the venue's best quote: right or wrong by its id, same or different by time alone.",
        ("venue", "outcome"),
        "comparisons",
        PRODUCER,
    ),
    "obflow_levels_compared_total": Metric(
        "Prices of LIVE books compared with the venue's own book, fetched beside them: right or wrong.",
        ("venue", "outcome"),
        "levels",
        PRODUCER,
    ),
    "obflow_books_compared_total": Metric(
        "Books fetched beside LIVE ones and compared with them.", ("venue",), "books", PRODUCER
    ),
    "obflow_beyond_snapshot_total": Metric(
        "Books whose best price lay beyond what their snapshot knew.", ("venue",), "books", PRODUCER
    ),
    "obflow_quote_mismatches_total": Metric(
        "Books that the venue's best quotes contradicted.", ("venue",), "books", PRODUCER
    ),
    "obflow_trades_off_grid_total": Metric(
        "Trades in their own topic alone, since the book's grid does not hold them exactly.",
        ("venue",),
        "trades",
        PRODUCER,
    ),
    "obflow_resyncs_total": Metric(
        "Snapshots asked for.", ("venue",), "requests", (*PRODUCER, *PROCESSOR), "a reader asked for one"
    ),
    "obflow_connections_total": Metric("Connections opened to a venue.", ("venue",), "connections", PRODUCER),
    "obflow_disconnects_total": Metric(
        "Connections to a venue that ended, lost or handed over.", ("venue",), "connections", PRODUCER
    ),
    "obflow_frame_fields_total": Metric(
        "Fields of a venue's frames that are new, missing or always zero, in the frames looked at: every one at first, "
        "later each hundredth. At most fifty names a venue.",
        ("venue", "field", "change"),
        "frames",
        PRODUCER,
        once="a field that changes",
    ),
    "obflow_rival_statuses_total": Metric(
        "Statuses of another process that produces the same instruments live.", ("venue",), "records", PRODUCER
    ),
    "obflow_list_reads_total": Metric(
        "Readings of a venue's instrument list while it was produced, by outcome: read, failed.",
        ("venue", "outcome"),
        "readings",
        PRODUCER,
    ),
    "obflow_fenced_records_total": Metric(
        "Records of a producer that slept longer than its lease, not published.",
        ("venue",),
        "records",
        PRODUCER,
        once="a lease (producer.share)",
    ),
    "obflow_rebalances_total": Metric(
        "Times that the group gave this worker its partitions anew.", ("topic",), "rebalances", WORKERS
    ),
    "obflow_retries_total": Metric(
        "Calls made again after a failure, by whose: llm, or the table of an insert.",
        ("stage",),
        "calls",
        (*REGIMES, *SINK),
        "one failed",
    ),
    "obflow_kafka_sent_bytes_total": Metric("Bytes sent to brokers.", ("client",), "bytes", LIBRDKAFKA),
    "obflow_kafka_received_bytes_total": Metric("Bytes received from brokers.", ("client",), "bytes", LIBRDKAFKA),
    "obflow_derived_total": Metric(
        "What was found in factors and books, and what became of it: signals and their forecasts, episodes.",
        ("outcome",),
        "findings",
        DERIVED,
        "one was",
    ),
    "obflow_llm_calls_total": Metric(
        "Requests to the language model, by what became of them.", ("outcome",), "requests", REGIMES, "it was asked"
    ),
    "obflow_llm_questions_dropped_total": Metric(
        "Questions that were never sent, by reason.", ("reason",), "questions", REGIMES, "one was dropped"
    ),
    "obflow_llm_tokens_total": Metric(
        "Tokens as reported by the endpoint, by direction: input or output.",
        ("direction",),
        "tokens",
        REGIMES,
        "the model answered",
    ),
    "obflow_llm_cost_usd_total": Metric(
        "Cost of the reported tokens by the configured prices, USD.", ("model",), "USD", REGIMES, "the model answered"
    ),
    "obflow_llm_usage_missing_total": Metric(
        "Answers read whole whose tokens the endpoint did not report.", ("model",), "answers", REGIMES, "one came"
    ),
    "obflow_llm_unfaithful_total": Metric(
        "Answers that name a number which was not shown; kept, with the mark.",
        ("model",),
        "answers",
        REGIMES,
        "one came",
    ),
    "obflow_llm_wrapped_total": Metric(
        "Valid answers that stood in a fence, between words, behind thinking, in quotes, in parts or in a call.",
        ("wrapping",),
        "answers",
        REGIMES,
        "one came",
    ),
    "obflow_llm_cached_answers_total": Metric(
        "Questions answered by what the same question was answered with a moment ago, by what became of it.",
        ("outcome",),
        "answers",
        REGIMES,
        "one was",
    ),
}
GAUGES: Mapping[GaugeName, Metric] = {
    "obflow_lag_records": Metric(
        "Records of a partition not yet processed.", ("topic", "partition"), "records", (*WORKERS, *SINK)
    ),
    "obflow_lag_seconds": Metric(
        "Age of the oldest record of a topic not yet processed (of a sink: not yet stored), by Kafka's time of it.",
        ("topic",),
        "seconds",
        (*WORKERS, *SINK),
    ),
    "obflow_books": Metric("Books by state.", ("state",), "books", (*PRODUCER, *PROCESSOR)),
    "obflow_book_age_seconds": Metric(
        "Longest time that a book of a state has had no record here; 0 where there is none.",
        ("state",),
        "seconds",
        PROCESSOR,
    ),
    "obflow_checkpoint_age_seconds": Metric(
        "Longest time that what changed is not in a checkpoint; 0 where everything is.", ("topic",), "seconds", WORKERS
    ),
    "obflow_silent_channels": Metric(
        "Instruments of which a subscribed channel is silent, by channel.",
        ("venue", "channel"),
        "instruments",
        PRODUCER,
    ),
    "obflow_gate_closed_seconds": Metric(
        "For how long the venue has told everybody here to wait.", ("venue",), "seconds", PRODUCER
    ),
    "obflow_clock_offset_seconds": Metric(
        "How far the venue's clock is ahead of ours, by the Date of its last answer over REST: to half a second.",
        ("venue",),
        "seconds",
        PRODUCER,
    ),
    "obflow_llm_unasked_instruments": Metric(
        "Instruments that the language model is never asked about, by reason.",
        ("reason",),
        "instruments",
        REGIMES,
        "a model is set",
    ),
    "obflow_llm_breaker": Metric(
        "Whether the model is asked: 0 it is, 1 one question tries whether it is back, 2 the rules alone judge.",
        ("model",),
        "0, 1 or 2",
        REGIMES,
        "a model is set",
    ),
    "obflow_buffered_records": Metric("Records held in memory, by where.", ("stage",), "records", ALL),
    "obflow_kafka_brokers_up": Metric(
        "Connections to brokers that stand, as librdkafka's statistics have it.", ("client",), "connections", LIBRDKAFKA
    ),
    "obflow_kafka_round_trip_seconds": Metric(
        "Mean time from a request to its answer in the last five seconds, of the slowest broker.",
        ("client",),
        "seconds",
        LIBRDKAFKA,
    ),
    "obflow_kafka_queued_bytes": Metric(
        "Size of what waits to be acknowledged by a broker.", ("client",), "bytes", LIBRDKAFKA
    ),
    "obflow_leased_partitions": Metric(
        "Partitions whose instruments this producer has by a lease.",
        ("venue",),
        "partitions",
        PRODUCER,
        once="a lease (producer.share)",
    ),
    "obflow_relay_quota_messages": Metric(
        "Messages that the key of a relay of Tardis's data is still good for, as the relay says.",
        ("venue",),
        "messages",
        PRODUCER,
        once="a relay that tells its quota (relay.base_url)",
    ),
    "obflow_table_failing": Metric(
        "1 where a table cannot be fed now, while the others go on.", ("table",), "0 or 1", SINK
    ),
    "obflow_missing_rows": Metric(
        "Rows that somebody took out of a table since the sink opened it, as its last look found.",
        ("table",),
        "rows",
        SINK,
    ),
    "obflow_ready": Metric(
        "1 where a condition of the role's readiness holds, as `/ready` tells it.", ("condition",), "0 or 1", EVERY
    ),
    "obflow_build_info": Metric("Always 1; version and role are in the labels.", ("version", "role"), "1", EVERY),
}
HISTOGRAMS: Mapping[HistogramName, Metric] = {
    "obflow_stage_latency_seconds": Metric(
        "From the socket to the end of a stage, by the wall clock; of publish at most 50 a second.",
        ("stage",),
        "seconds",
        ALL,
    ),
    "obflow_batch_seconds": Metric(
        "Time that one batch of a stage took.", ("stage",), "seconds", (*WORKERS, *SINK, *EVALUATE)
    ),
    "obflow_exchange_latency_seconds": Metric(
        "From the venue's time of a message to its receipt, of at most 50 messages a second; clocks may differ.",
        ("venue",),
        "seconds",
        PRODUCER,
    ),
}
LIBRARY: Mapping[str, Metric] = {
    "process_cpu_seconds_total": Metric("Time on the processor, user and system.", (), "seconds", EVERY),
    "process_resident_memory_bytes": Metric("Memory in use.", (), "bytes", EVERY),
    "process_virtual_memory_bytes": Metric("Address space in use.", (), "bytes", EVERY),
    "process_start_time_seconds": Metric("When the process began.", (), "seconds since 1970", EVERY),
    "process_open_fds": Metric("Open descriptors.", (), "descriptors", EVERY),
    "process_max_fds": Metric("Most descriptors that may be open.", (), "descriptors", EVERY),
    "python_gc_objects_collected_total": Metric("Objects that were collected.", ("generation",), "objects", EVERY),
    "python_gc_objects_uncollectable_total": Metric("Objects that cannot be.", ("generation",), "objects", EVERY),
    "python_gc_collections_total": Metric("Runs of the garbage collector.", ("generation",), "runs", EVERY),
}
"""What the metrics library itself shows of a process."""
