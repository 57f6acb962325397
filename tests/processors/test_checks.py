"""A changelog is held against committed offsets, and whom the model is not asked about is named."""

from __future__ import annotations

from processors.checks import checkpoint_finding, unasked_finding
from processors.llm.unasked import WHY
from schemas.messages import CallOutcome, LlmCall, Source

CHANGELOG = "obflow-processor-books-changelog"


def call(symbol: str, outcome: CallOutcome) -> LlmCall:
    return LlmCall("binance", symbol, Source.LIVE, "c", 0, 1, 1, outcome, "", "", "", "", "", 0.0, detail=WHY)


def test_a_changelog_with_something_for_each_committed_offset_is_well() -> None:
    found = checkpoint_finding("books checkpoints", CHANGELOG, {0: 5, 1: 0}, {0: 0, 1: 0}, {0: 3, 1: 0})

    assert found.ok


def test_a_changelog_without_what_committed_offsets_promise_is_named() -> None:
    found = checkpoint_finding(
        "books checkpoints", CHANGELOG, {0: 5, 1: 9, 2: 4}, {0: 8, 1: 2, 2: 0}, {0: 8, 1: 3, 2: 0}
    )

    assert not found.ok
    assert f"{CHANGELOG} holds no checkpoint in 2 partitions with a committed offset (0, 2)" in found.detail
    assert found.remedy == "restart the worker"


def test_a_changelog_made_anew_is_not_said_to_keep_what_was_promised() -> None:
    """Who goes on has checkpoints in it soon; those of quiet instruments it has not."""
    found = checkpoint_finding("books checkpoints", CHANGELOG, {0: 5, 1: 7}, {0: 0, 1: 0}, {0: 3, 1: 2}, {1})

    assert found.ok, "nothing is lost by it"
    assert f"{CHANGELOG} was made anew: what it lacks of 1 partitions is read again" in found.detail


def test_instruments_that_the_model_is_never_asked_about_are_named() -> None:
    calls = [call("币安人生USDT", CallOutcome.NOT_ASKED), call("BTCUSDT", CallOutcome.OK)]

    assert "never asked about binance:币安人生USDT" in unasked_finding(calls).detail
    assert unasked_finding(calls[1:]).detail == "asked about every instrument"
