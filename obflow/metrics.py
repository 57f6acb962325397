"""The metrics of a process, and its pages. Roles count; Prometheus reads `/metrics`. What there is: `metric_list`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from obflow.health import CONDITIONS, Health
from obflow.metric_list import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    LATENCY_BUCKETS,
    CounterName,
    GaugeName,
    HistogramName,
    Metric,
    MetricName,
)
from obflow.minutes import told_each_minute
from obflow.pages import serving
from obflow.settings import MetricsSettings
from obflow.terminal import escape_text
from schemas.errors import UsageError


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
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._counters = {
            name: Counter(name, *_told(metric), registry=self.registry) for name, metric in COUNTERS.items()
        }
        self._gauges = {name: Gauge(name, *_told(metric), registry=self.registry) for name, metric in GAUGES.items()}
        self._histograms = {
            name: Histogram(name, *_told(metric), registry=self.registry, buckets=LATENCY_BUCKETS)
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

    def forget_gauge(self, name: GaugeName, **labels: str) -> None:
        """Show the gauge of these labels no more: another process knows its value from now on."""
        self._gauges[name].remove(*(_printable(labels)[label] for label in GAUGES[name].labels))

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

    def counted(self) -> dict[str, float]:
        """Each counter's sum over its labels."""
        return {
            name: sum(sample.value for sample in next(iter(counter.collect())).samples if sample.name == name)
            for name, counter in self._counters.items()
        }

    def page(self) -> str:
        """The page as Prometheus reads it."""
        return generate_latest(self.registry).decode()

    @contextmanager
    def served(self, settings: MetricsSettings) -> Iterator[None]:
        """Serve `/metrics`, `/live` and `/ready` while the block runs; port 0 serves none. Log what is done, too.

        Raises:
            UsageError: The address cannot be listened on.
        """
        with ExitStack() as stack:
            stack.enter_context(told_each_minute(self.counted))
            if settings.port == 0:
                yield
                return
            try:
                stack.enter_context(serving(self.registry, self.health, settings.host, settings.port))
            except (OSError, OverflowError) as error:
                why = getattr(error, "strerror", None) or error
                raise UsageError(
                    f"metrics cannot be served at {settings.host}:{settings.port} ({why})",
                    next_step="choose another metrics.port, or 0 for none",
                ) from None
            yield


def _told(metric: Metric) -> tuple[str, tuple[str, ...]]:
    """What the library is told of a metric besides its name."""
    return metric.meaning, metric.labels


def _printable(labels: Mapping[str, str]) -> dict[str, str]:
    """Label values fit for a page: a venue's name comes from outside, and half a character would end the page."""
    return {label: escape_text(value) for label, value in labels.items()}
