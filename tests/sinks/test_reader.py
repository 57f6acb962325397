"""Reading begins after what the table holds, and whatever cannot be read any more is said."""

import pytest

from obflow.kafka import source_log
from schemas.errors import TopicMismatch
from sinks.contract import Origin, Position, log_of
from sinks.reader import Log, Span, parse_letter_id, spans


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


def test_a_letters_id_names_the_record_it_is_about() -> None:
    origin = Origin("trades.v1", "_8Gbh6GZQnqLrPZ3Hh0d2A", 3, 17)

    assert parse_letter_id("trades.v1", origin.letter_id) == origin
    assert origin.position == Position("_8Gbh6GZ", 3, 17)


@pytest.mark.parametrize(
    "text", ["", "a", "a:1", "a:1:", ":1:2", "a:x:2", "a:1:-2", "a:1:2:3", "a:65536:1", f"a:1:{2**63}", "a:²:1"]
)
def test_what_names_no_record_is_none(text: str) -> None:
    assert parse_letter_id("trades.v1", text) is None


def test_a_log_is_named_alike_in_tables_and_in_records() -> None:
    assert log_of("_8Gbh6GZQnqLrPZ3Hh0d2A") == source_log("_8Gbh6GZQnqLrPZ3Hh0d2A")
