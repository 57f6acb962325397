"""`docs/metrics.md` is what the list of metrics makes of it."""

from __future__ import annotations

from pathlib import Path

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LIBRARY
from obflow.metric_reference import PAGE, as_markdown, main

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_what_the_list_gives() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == as_markdown(), "run `make metrics`"


def test_every_metric_has_one_line_with_all_that_is_known_of_it() -> None:
    lines = as_markdown().splitlines()
    for name, metric in {**COUNTERS, **GAUGES, **HISTOGRAMS, **LIBRARY}.items():
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert line.count(" | ") == 4, "a meaning with a bar in it would be two columns"
        for part in (*metric.labels, metric.unit, *metric.roles, metric.meaning, metric.once):
            assert part in line


def test_the_command_writes_it_into_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert main(tmp_path) == 0
    assert (tmp_path / PAGE).read_text("utf-8") == as_markdown()
