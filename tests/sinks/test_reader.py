"""Reading begins after what the table holds, and whatever cannot be read any more is said."""

import pytest

from schemas.errors import TopicMismatch
from sinks.reader import Log, Span, spans


def test_a_fresh_table_begins_at_the_logs_start() -> None:
    assert spans(Log("trades", "a", {0: 7, 1: 0}, {0: 9, 1: 0}), {}) == {0: Span(7, 0), 1: Span(0, 0)}


def test_a_table_goes_on_after_what_it_holds() -> None:
    assert spans(Log("trades", "a", {0: 0}, {0: 9}), {("a", 0): 4}) == {0: Span(5, 0)}
    assert spans(Log("trades", "a", {0: 0}, {0: 9}), {("a", 0): 8}) == {0: Span(9, 0)}


def test_another_log_simply_starts() -> None:
    assert spans(Log("trades", "b", {0: 0}, {0: 3}), {("a", 0): 400}) == {0: Span(0, 0)}


def test_records_that_retention_deleted_unread_are_counted() -> None:
    assert spans(Log("trades", "a", {0: 10}, {0: 12}), {("a", 0): 4}) == {0: Span(10, 5)}


def test_a_log_that_lost_what_the_table_holds_is_refused() -> None:
    with pytest.raises(TopicMismatch, match="lost records"):
        spans(Log("trades", "a", {0: 0}, {0: 4}), {("a", 0): 4})
