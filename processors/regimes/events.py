"""What is published of a closed window: the rules' event, and the model's beside it."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgspec

from processors.regimes.rules import RuleSettings
from processors.regimes.state import Closed
from processors.regimes.verdict import LlmVerdict
from processors.regimes.window import WindowSummary
from processors.regimes.words import Words
from schemas.bounds import LATEST_NS
from schemas.messages import InstrumentKey, RegimeEvent, RegimeSource
from schemas.units import NS_PER_MS

RULES_VERSION: Final = "r2"
"""Rises when the meaning of a score or label changes; a changed threshold changes the digest behind it."""


class Usage(NamedTuple):
    """What an answer took, all tries together; null is not known.

    Attributes:
        latency_ms: From the close of the window to the publication of the answer, by a monotonic clock.
        input_tokens, output_tokens: As the endpoint reported.
        cost_usd: By the configured prices.
    """

    latency_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


class AskedModel(NamedTuple):
    """Who was asked, and what.

    Attributes:
        model: By its name.
        prompt_version, prompt_hash: Of the instructions.
        arm: What it is called in a rollout.
    """

    model: str
    prompt_version: str
    prompt_hash: str
    arm: str = ""


def rule_set(settings: RuleSettings) -> str:
    """Version of the rules and digest of their thresholds, as it stands in events."""
    thresholds = hashlib.sha256(msgspec.json.encode(settings, order="deterministic")).hexdigest()
    return f"{RULES_VERSION}-{thresholds[:8]}"


def rule_event(instrument: InstrumentKey, closed: Closed, rules: str, words: Words) -> RegimeEvent:
    """The rules' event of a window, with its sentences: the same to the bit in every replay."""
    return RegimeEvent(
        source=RegimeSource.RULE,
        label=closed.verdict.label,
        score=closed.verdict.score,
        observations="\n".join(words.observations),
        risk=words.risk,
        summary=words.summary,
        decided_ns=closed.received_ns,
        **_common(instrument, closed, rules),
    )


def decided_ns(closed: Closed, latency_ms: float) -> int:
    """When something about a window could first be known, ns UTC: when it closed, and the time since then."""
    return min(closed.received_ns + round(latency_ms * NS_PER_MS), LATEST_NS)


def llm_event(
    instrument: InstrumentKey,
    closed: Closed,
    rules: str,
    verdict: LlmVerdict,
    usage: Usage,
    asked: AskedModel,
    *,
    unfaithful: bool,
    source: RegimeSource = RegimeSource.LLM,
) -> RegimeEvent:
    """The model's event of the same window.

    Args:
        instrument: Whose.
        closed: The window that was asked about.
        rules: Version of the rules that judged the window.
        verdict: The validated answer.
        usage: What it took.
        asked: Who was asked, and what.
        unfaithful: Whether it names a number that it was not shown.
        source: Whether it was asked for, or given to the same question a moment ago.
    """
    return RegimeEvent(
        source=source,
        label=verdict.label,
        confidence=verdict.confidence,
        p_up=verdict.p_up,
        p_volatile=verdict.p_volatile,
        outlook=verdict.outlook,
        observations="\n".join(verdict.observations),
        risk=verdict.risk,
        summary=verdict.summary,
        unfaithful=unfaithful,
        **asked._asdict(),
        decided_ns=decided_ns(closed, usage.latency_ms),
        **usage._asdict(),
        **_common(instrument, closed, rules),
    )


def _common(instrument: InstrumentKey, closed: Closed, rules: str) -> dict[str, Any]:
    scores = closed.verdict.scores
    return {
        "venue": instrument.venue,
        "symbol": instrument.symbol,
        "feed_source": closed.feed_source,
        "rule_set": rules,
        "direction": scores.direction,
        "lean": scores.lean,
        "variance_ratio": scores.variance_ratio,
        "change": scores.change,
        **_window(closed.window),
        "source_log": closed.source_log,
        "source_partition": closed.source_partition,
        "source_offset": closed.source_offset,
        "run": closed.run,
    }


def _window(window: WindowSummary) -> dict[str, Any]:
    return {
        "window_start_ns": window.start_ns,
        "window_end_ns": window.end_ns,
        "events": window.events,
        "usable_events": window.usable_events,
        "whole": window.whole,
        "mid": window.mid,
        "return_bps": window.return_bps,
        "imbalance": window.imbalance,
        "order_flow": window.order_flow,
        "depth": window.depth,
        "spread_bps": window.spread_bps,
        "obi_l1_last": window.obi_l1_last,
        "obi_l5_last": window.obi_l5_last,
        "ofi_l1_1s_last": window.ofi_l1_1s_last,
        "trade_flow": window.trade_flow,
        "trade_volume": window.trade_volume,
        "realised_variance": window.realised_variance,
    }
