"""A role says what it did, and what it waits for came, went and came back."""

from __future__ import annotations

from structlog.testing import capture_logs

from obflow.health import BROKER, FEED, Health
from obflow.metrics import Metrics
from obflow.minutes import growth


def test_a_minute_tells_what_was_counted_in_it_and_nothing_of_what_was_not() -> None:
    assert growth({"obflow_a_total": 5.0, "obflow_b_total": 1.0}, {"obflow_a_total": 9.0, "obflow_b_total": 1.0}) == {
        "a_total": 4
    }


def test_counters_are_summed_over_their_labels() -> None:
    metrics = Metrics("sink")
    before = metrics.counted()
    for table, count in (("factors", 3), ("trades", 4)):
        metrics.counter("obflow_stored_total", table=table).inc(count)
    assert growth(before, metrics.counted()) == {"stored_total": 7}


def test_each_condition_is_told_once_as_it_comes_goes_and_comes_back() -> None:
    health = Health()
    with capture_logs() as told:
        health.expect(BROKER, FEED)
        for why in ("", "", "no answer", "no answer", ""):
            health.note(BROKER, why)
        health.note(FEED)
    assert [(line["event"], line["condition"]) for line in told] == [
        ("connected", BROKER),
        ("not_ready", BROKER),
        ("recovered", BROKER),
        ("went_live", FEED),
    ]
