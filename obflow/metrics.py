"""Every metric there is: one list of names, what each means and its labels. Roles count; Prometheus reads `/metrics`.

Units are the base units (seconds, records); labels are bounded by configuration (a venue, a topic, a reason), never by
data. To add a metric, add its name to the literal of its kind and a line to `METRICS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Literal, NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from obflow.health import CONDITIONS, Health
from obflow.pages import serving
from obflow.settings import MetricsSettings
from obflow.terminal import escape_text
from schemas.errors import UsageError

CounterName = Literal[
    "obflow_received_total",
    "obflow_emitted_total",
    "obflow_rejected_total",
    "obflow_dead_lettered_total",
    "obflow_ignored_total",
    "obflow_stored_total",
    "obflow_repeated_total",
    "obflow_gaps_total",
    "obflow_quote_checks_total",
    "obflow_levels_compared_total",
    "obflow_books_compared_total",
    "obflow_beyond_snapshot_total",
    "obflow_quote_mismatches_total",
    "obflow_trades_off_grid_total",
    "obflow_resyncs_total",
    "obflow_connections_total",
    "obflow_rival_statuses_total",
    "obflow_retries_total",
    "obflow_llm_calls_total",
    "obflow_llm_questions_dropped_total",
    "obflow_llm_tokens_total",
    "obflow_llm_cost_usd_total",
    "obflow_llm_usage_missing_total",
]
GaugeName = Literal[
    "obflow_lag_records",
    "obflow_books",
    "obflow_silent_channels",
    "obflow_gate_closed_seconds",
    "obflow_llm_unasked_instruments",
    "obflow_buffered_records",
    "obflow_table_failing",
    "obflow_ready",
    "obflow_build_info",
]
HistogramName = Literal[
    "obflow_stage_latency_seconds",
    "obflow_batch_seconds",
]
MetricName: TypeAlias = CounterName | GaugeName | HistogramName

# From a millisecond, which one process needs, to the minute that a catch-up may take.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metric(NamedTuple):
    """One metric.

    Attributes:
        meaning: One line, shown on the page.
        labels: Names of its labels.
    """

    meaning: str
    labels: tuple[str, ...]


COUNTERS: Mapping[CounterName, Metric] = {
    "obflow_received_total": Metric("Frames of a venue, or records of a topic, taken in.", ("source",)),
    "obflow_emitted_total": Metric("Records acknowledged by the broker.", ("topic",)),
    "obflow_rejected_total": Metric("Messages refused, by reason.", ("reason",)),
    "obflow_dead_lettered_total": Metric("Messages put aside with cause, origin and payload.", ("reason",)),
    "obflow_ignored_total": Metric("Messages that rightly change nothing, by reason.", ("reason",)),
    "obflow_stored_total": Metric("Rows acknowledged by the database.", ("table",)),
    "obflow_repeated_total": Metric("Rows sent again, by how they compare with the stored ones.", ("state",)),
    "obflow_gaps_total": Metric("Books that an update did not connect to.", ("venue",)),
    "obflow_quote_checks_total": Metric(
        "Books compared with the venue's best quote: right or wrong by its id, same or different by time alone.",
        ("venue", "outcome"),
    ),
    "obflow_levels_compared_total": Metric(
        "Prices of LIVE books compared with the venue's own book, fetched beside them: right or wrong.",
        ("venue", "outcome"),
    ),
    "obflow_books_compared_total": Metric("Books fetched beside LIVE ones and compared with them.", ("venue",)),
    "obflow_beyond_snapshot_total": Metric("Books whose best price lay beyond what their snapshot knew.", ("venue",)),
    "obflow_quote_mismatches_total": Metric("Books that the venue's best quotes contradicted.", ("venue",)),
    "obflow_trades_off_grid_total": Metric(
        "Trades in their own topic alone, since the book's grid does not hold them exactly.", ("venue",)
    ),
    "obflow_resyncs_total": Metric("Snapshots asked for.", ("venue",)),
    "obflow_connections_total": Metric("Connections opened to a venue.", ("venue",)),
    "obflow_rival_statuses_total": Metric(
        "Statuses of another process that produces the same instruments live.", ("venue",)
    ),
    "obflow_retries_total": Metric("Calls made again after a failure.", ("stage",)),
    "obflow_llm_calls_total": Metric("Requests to the language model, by what became of them.", ("outcome",)),
    "obflow_llm_questions_dropped_total": Metric("Questions that were never sent, by reason.", ("reason",)),
    "obflow_llm_tokens_total": Metric(
        "Tokens as reported by the endpoint, by direction: input or output.", ("direction",)
    ),
    "obflow_llm_cost_usd_total": Metric("Cost of the reported tokens by the configured prices, USD.", ("model",)),
    "obflow_llm_usage_missing_total": Metric(
        "Answers read whole whose tokens the endpoint did not report.", ("model",)
    ),
}
GAUGES: Mapping[GaugeName, Metric] = {
    "obflow_lag_records": Metric("Records of a partition not yet processed.", ("topic", "partition")),
    "obflow_books": Metric("Books by state.", ("state",)),
    "obflow_silent_channels": Metric(
        "Instruments of which a subscribed channel is silent, by channel.", ("venue", "channel")
    ),
    "obflow_gate_closed_seconds": Metric("For how long the venue has told everybody here to wait.", ("venue",)),
    "obflow_llm_unasked_instruments": Metric(
        "Instruments that the language model is never asked about, by reason.", ("reason",)
    ),
    "obflow_buffered_records": Metric("Records held in memory, by where.", ("stage",)),
    "obflow_table_failing": Metric("1 where a table cannot be fed now, while the others go on.", ("table",)),
    "obflow_ready": Metric("1 where a condition of the role's readiness holds, as `/ready` tells it.", ("condition",)),
    "obflow_build_info": Metric("Always 1; version and role are in the labels.", ("version", "role")),
}
HISTOGRAMS: Mapping[HistogramName, Metric] = {
    "obflow_stage_latency_seconds": Metric("From the socket to the end of a stage, by the wall clock.", ("stage",)),
    "obflow_batch_seconds": Metric("Time that one batch of a stage took.", ("stage",)),
}
# What the page of every role shows, whatever else it counts.
MINIMUM: tuple[MetricName, ...] = (
    "obflow_received_total",
    "obflow_emitted_total",
    "obflow_rejected_total",
    "obflow_dead_lettered_total",
    "obflow_lag_records",
    "obflow_stage_latency_seconds",
    "obflow_build_info",
)


class Metrics:
    """The metrics of one process. Pass it on as an argument; there is no global one.

    Args:
        role: What the process does; a label of `obflow_build_info`.

    Attributes:
        registry: What the page shows.
        health: What `/live` and `/ready` tell; its conditions are on the page, too.
    """

    def __init__(self, role: str) -> None:
        self.registry = CollectorRegistry()
        self._counters = {name: Counter(name, *metric, registry=self.registry) for name, metric in COUNTERS.items()}
        self._gauges = {name: Gauge(name, *metric, registry=self.registry) for name, metric in GAUGES.items()}
        self._histograms = {
            name: Histogram(name, *metric, registry=self.registry, buckets=LATENCY_BUCKETS)
            for name, metric in HISTOGRAMS.items()
        }
        self._totals: dict[tuple[str, ...], float] = {}
        self.health = Health(on_change=self._show_condition)
        self.health.expect(*CONDITIONS.get(role, ()))
        self.gauge("obflow_build_info", version=version("obflow"), role=role).set(1)

    def counter(self, name: CounterName, **labels: str) -> Counter:
        """The counter of these labels; keep it where it is raised often.

        Raises:
            ValueError: The labels are not those of the list.
        """
        return self._counters[name].labels(**_printable(labels))

    def gauge(self, name: GaugeName, **labels: str) -> Gauge:
        """The gauge of these labels.

        Raises:
            ValueError: The labels are not those of the list.
        """
        return self._gauges[name].labels(**_printable(labels))

    def histogram(self, name: HistogramName, **labels: str) -> Histogram:
        """The histogram of these labels.

        Raises:
            ValueError: The labels are not those of the list.
        """
        return self._histograms[name].labels(**_printable(labels))

    def raise_to(self, name: CounterName, total: float, **labels: str) -> None:
        """Show the running total of a pure module, which counts by itself.

        Raises:
            ValueError: The total is lower than the last one.
        """
        key = (name, *(f"{label}={value}" for label, value in sorted(labels.items())))
        self.counter(name, **labels).inc(total - self._totals.get(key, 0))
        self._totals[key] = total

    def _show_condition(self, condition: str, holds: bool) -> None:
        self.gauge("obflow_ready", condition=condition).set(holds)

    def value(self, name: MetricName, **labels: str) -> float:
        """What is shown for a counter or gauge now; 0 where nothing was counted yet."""
        return self.registry.get_sample_value(name, _printable(labels)) or 0.0

    def page(self) -> str:
        """The page as Prometheus reads it."""
        return generate_latest(self.registry).decode()

    @contextmanager
    def served(self, settings: MetricsSettings) -> Iterator[None]:
        """Serve `/metrics`, `/live` and `/ready` while the block runs; port 0 serves none.

        Raises:
            UsageError: The address cannot be listened on.
        """
        if settings.port == 0:
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(serving(self.registry, self.health, settings.host, settings.port))
            except (OSError, OverflowError) as error:
                why = getattr(error, "strerror", None) or error
                raise UsageError(
                    f"metrics cannot be served at {settings.host}:{settings.port} ({why})",
                    next_step="choose another metrics.port, or 0 for none",
                ) from None
            yield


def _printable(labels: Mapping[str, str]) -> dict[str, str]:
    """Label values fit for a page: a venue's name comes from outside, and half a character would end the page."""
    return {label: escape_text(value) for label, value in labels.items()}
