"""A request to a language model, and what became of it."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import Count, Duration, Few, Finite, Label, Text, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source


class CallOutcome(StrEnum):
    """What became of one request to the language model."""

    OK = "ok"
    """A valid verdict in time; published, in a rollout where its arm is the one whose answers are."""
    STALE = "stale"
    """A valid verdict in time that was not published: another worker has the instrument now."""
    TIMEOUT = "timeout"
    """No whole answer within the deadline."""
    UNREACHABLE = "unreachable"
    """No connection, or one that broke before the answer was whole."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403, or no key that could be sent."""
    RATE_LIMITED = "rate_limited"
    """429."""
    REFUSED = "refused"
    """Any other status from 300 to 499."""
    SERVER_ERROR = "server_error"
    """Status 500 or above."""
    TOO_LARGE = "too_large"
    """An answer beyond the bound, not read to its end."""
    GARBAGE = "garbage"
    """Status 200, but no chat completion: HTML, half a JSON text."""
    TRUNCATED = "truncated"
    """The model stopped at its token limit."""
    INVALID = "invalid"
    """A completion that is no verdict: prose, an unknown label, a probability outside [0, 1]."""
    ABANDONED = "abandoned"
    """The worker was stopped while it waited."""
    NOT_ASKED = "not_asked"
    """No request at all: the instrument's name may not stand in a prompt. One row an instrument and worker."""


class LlmCall(InstrumentRecord, frozen=True, gc=False):
    """One request to the language model and what became of it (`llm-calls.v1`). A question may take several.

    Attributes:
        venue, symbol, feed_source: As in `RegimeEvent`.
        call_id: Of this request alone.
        attempt: 1 for a question's first request.
        window_end_ns: End of the window that was asked about.
        started_ns: When the request left, ns UTC.
        outcome: What became of it.
        endpoint: Base URL, without credentials.
        model, prompt_version, prompt_hash: What was asked, of whom.
        request_hash: First 16 hexadecimal characters of the SHA-256 of the user message.
        latency_ms: Until the outcome was known.
        status: HTTP status; null where none was received.
        input_tokens, output_tokens, cost_usd: As the endpoint reports usage, by the configured prices; else null.
        cached_tokens, reasoning_tokens: Parts of input and output: what the endpoint had kept, and what was thought and
            not said; null where it does not say.
        reserved_usd, reserved_tokens: What the budget was charged instead where usage is not known; else null.
        unfaithful: Whether a number in the answer's observations is none of those shown; null where there is none.
        detail: The cause as a sentence, where the outcome is not ok, or the numbers that were not shown, cut at 500
            characters.
        response: The answer's text, cut at 2,000 characters.
        decided_ns: When the outcome could first be known, ns UTC, as in `RegimeEvent`; null in records of version 1.
        run: As in `RegimeEvent`.
        arm: Which was asked, blue or green; empty in records of an older version.
        key_id: First 8 hexadecimal characters of the SHA-256 of the key it was sent with; empty where none was.
        queued_ms: From the close of the window until the request left: checkpoint, queue, pace, tries before. With
            `latency_ms` it is the time until `decided_ns`. Null where none left, and in records of an older version.
        price_date: Day from which on the prices hold that the cost was computed by, as 2026-01-01; null without.
        shape: What was asked for beside the messages: form of the answer (schema, object, none), temperature, name of
            its limit; empty in records of an older version.
        breaker: Its state when the request had ended: closed, half_open or open; empty in records of an older version.
    """

    feed_source: Source
    call_id: Label
    attempt: Few
    window_end_ns: TimeNs
    started_ns: TimeNs
    outcome: CallOutcome
    endpoint: Text
    model: Text
    prompt_version: Label
    prompt_hash: Label
    request_hash: Label
    latency_ms: Duration
    status: Few | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cost_usd: Finite | None = None
    reserved_usd: Finite | None = None
    reserved_tokens: Count | None = None
    unfaithful: bool | None = None
    detail: Text = ""
    response: Text = ""
    decided_ns: TimeNs | None = None
    run: Label = ""
    arm: Label = ""
    key_id: Label = ""
    queued_ms: Duration | None = None
    price_date: Label | None = None
    shape: Label = ""
    breaker: Label = ""
