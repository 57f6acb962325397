"""Write `docs/metrics.md` from the list of metrics. Run in a checkout, by `make metrics`; a test compares the two."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LATENCY_BUCKETS, LIBRARY, Metric
from obflow.terminal import say
from schemas.errors import EXIT_DONE

PAGE: Final = Path("docs/metrics.md")
COLUMNS: Final = ("Name", "Labels", "Unit", "Roles", "Meaning")
HEAD: Final = """# Metrics

Written by `make metrics` from `obflow/metric_list.py`; a test holds the two equal. Each role serves `/metrics` where
`metrics.port` is set, beside `/live` and `/ready`.

Times and sizes are in base units. A label's values are bounded by the configuration: venues, topics, tables, reasons,
states, never an instrument or an id. A metric has no value before something happened that it tells of; where that may
never be, the line says what. `client` is `publisher`, or `table` and its name. `topic` is the declared name; only in
`obflow_emitted_total` of workers it begins with `kafka.topic_prefix`.
"""
KINDS: Final[Mapping[str, tuple[str, Mapping[Any, Metric]]]] = {
    "Counters": ("Rise from zero at the start of a process: read them with `rate()` or `increase()`.", COUNTERS),
    "Gauges": ("As they are now.", GAUGES),
    "Histograms": (
        f"Buckets up to {', '.join(f'{bound:g}' for bound in LATENCY_BUCKETS)} s, `_sum` and `_count`.",
        HISTOGRAMS,
    ),
    "The process": ("What the metrics library itself shows, on Linux.", LIBRARY),
}


def as_markdown() -> str:
    """The page: a table for each kind, a line for each metric."""
    parts = [HEAD]
    for kind, (what, metrics) in KINDS.items():
        parts.append(f"\n## {kind}\n\n{what}\n\n{_table(metrics)}")
    return "".join(parts)


def _table(metrics: Mapping[Any, Metric]) -> str:
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(_row(name, metric) for name, metric in metrics.items())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(name: str, metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    once = f" Once {metric.once}." if metric.once else ""
    return f"`{name}`", labels, metric.unit, ", ".join(metric.roles), metric.meaning + once


def main(root: Path = Path()) -> int:
    """Write the page into a checkout."""
    (root / PAGE).write_text(as_markdown(), "utf-8")
    say(f"wrote {PAGE}")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
