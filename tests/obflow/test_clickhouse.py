"""What a failed insert means for its rows, and how a failure is put in words."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from obflow.clickhouse import QueryFailed, connect, explained, message_of, query_error
from obflow.insert_errors import (
    BUSY,
    POISON,
    UNANSWERED,
    InsertBusy,
    InsertError,
    InsertPoisoned,
    InsertRejected,
    InsertUnanswered,
    classify_insert,
)
from obflow.settings import ClickHouseSettings
from schemas.errors import DependencyError, StoreUnreachable

SETTINGS = ClickHouseSettings(host="store.example.org", port=8123, user="sink")


def refusal(code: int, text: str = "no") -> DatabaseError:
    said = f"Code: {code}. DB::Exception: {text}"
    return DatabaseError(f"Received ClickHouse exception, code: {code}, server response: {said} (for url x)", code=code)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (241, InsertBusy),
        (252, InsertBusy),
        (202, InsertBusy),
        (159, InsertUnanswered),
        (210, InsertUnanswered),
        (16, InsertRejected),
        (60, InsertRejected),
        (497, InsertRejected),
        (164, InsertRejected),
        (9999, InsertRejected),
        (6, InsertPoisoned),
        (53, InsertPoisoned),
        (349, InsertPoisoned),
        (469, InsertPoisoned),
    ],
)
def test_the_servers_code_decides_what_becomes_of_the_rows(code: int, kind: type[InsertError]) -> None:
    error = classify_insert(refusal(code), table="factors", rows=7)
    assert type(error) is kind
    assert (error.code, error.table, error.rows) == (code, "factors", 7)


def test_no_code_means_two_things() -> None:
    assert not BUSY & UNANSWERED
    assert not BUSY & POISON
    assert not UNANSWERED & POISON


def test_a_batch_over_two_partitions_is_no_busy_server() -> None:
    """Both have code 252; waiting would help only one of them."""
    refused = refusal(252, "Too many partitions for single INSERT block (more than 1)")
    error = classify_insert(refused, table="t", rows=2)
    assert type(error) is InsertRejected


@pytest.mark.parametrize("error", [OperationalError("connection reset"), ConnectionResetError(), TimeoutError()])
def test_a_lost_answer_leaves_the_outcome_open(error: Exception) -> None:
    assert type(classify_insert(error, table="t", rows=1)) is InsertUnanswered


def test_what_the_client_never_sent_is_not_stored() -> None:
    error = classify_insert(ProgrammingError("Setting x is readonly"), table="t", rows=1)
    assert type(error) is InsertRejected
    assert "code" not in str(error)


def test_the_message_is_clickhouses_own_in_one_line() -> None:
    error = refusal(62, "Syntax error: failed\nat position 1 (version 26.9.2.1 (official build)). (SYNTAX_ERROR)")
    assert message_of(error) == "Syntax error: failed at position 1. (SYNTAX_ERROR)"


def test_a_long_message_is_cut() -> None:
    assert len(message_of(refusal(62, "x" * 10_000))) < 500


def test_a_message_is_never_empty() -> None:
    assert message_of(TimeoutError()) == "TimeoutError"


def test_a_statement_without_an_answer_means_the_store_is_unreachable() -> None:
    error = query_error(OperationalError("Read timed out."), SETTINGS)
    assert isinstance(error, StoreUnreachable)
    assert "store.example.org:8123" in str(error)


def test_a_refused_statement_keeps_its_code() -> None:
    with pytest.raises(QueryFailed, match="ClickHouse refused it: no such table") as raised, explained(SETTINGS):
        raise refusal(60, "no such table")
    assert (raised.value.code, raised.value.exit_code) == (60, 1)


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (OperationalError("Connection refused"), StoreUnreachable, "no ClickHouse answers at store.example.org:8123"),
        (OSError("no route"), StoreUnreachable, "no ClickHouse answers"),
        (refusal(516), DependencyError, "refuses the user sink"),
        (refusal(81), DependencyError, "has no database obflow"),
        (refusal(241, "Memory limit"), DependencyError, "Memory limit"),
    ],
)
def test_a_failed_connection_says_what_and_where_and_what_next(
    error: Exception, kind: type[DependencyError], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr("clickhouse_connect.get_client", refuse)
    with pytest.raises(kind, match=word) as raised:
        connect(SETTINGS)
    assert raised.value.exit_code == 3
    assert raised.value.next_step
