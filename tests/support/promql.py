"""What a PromQL expression names: metrics, and labels of each. As much of the language as our rules and panels use."""

from __future__ import annotations

import re
from collections.abc import Iterator

FUNCTIONS = {
    "abs", "absent", "and", "by", "histogram_quantile", "increase", "max", "max_over_time", "min", "or", "rate", "sum",
    "unless",
}  # fmt: skip
STRING = re.compile(r'"[^"]*"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
SELECTOR = re.compile(r"\b([a-z_:][a-z0-9_:]*)\s*\{([^}]*)\}")
RANGE = re.compile(r"\[[^\]]*\]")
NAME = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*")
OF_PROMETHEUS = {"job", "instance", "le"}
"""Labels that a scrape adds, and a histogram's own."""


def metrics_of(expression: str) -> set[str]:
    """Every metric that an expression names."""
    bare = SELECTOR.sub(r"\1", STRING.sub("", expression))
    bare = RANGE.sub("", GROUPING.sub("", bare))
    return set(NAME.findall(bare)) - FUNCTIONS


def labels_of(expression: str) -> Iterator[tuple[str, str]]:
    """Every label that an expression names, with the metric it selects; an empty metric for a grouping."""
    for metric, matchers in SELECTOR.findall(expression):
        for matcher in filter(None, STRING.sub("", matchers).split(",")):
            yield metric, NAME.findall(matcher)[0]
    for labels in GROUPING.findall(expression):
        for label in filter(None, (label.strip() for label in labels.split(","))):
            yield "", label


def declared_as(name: str) -> str:
    """The name under which a metric is declared: a histogram's series have names of their own."""
    return re.sub(r"_(bucket|sum|count)$", "", name)
