"""What came of a stage's records, as counts."""

from __future__ import annotations

from collections.abc import Mapping

from processors.contract import Count


def outcome_counts(found: Mapping[str, int]) -> list[Count]:
    """Give how often each outcome came about."""
    return [Count("obflow_derived_total", "outcome", what, number) for what, number in found.items()]
