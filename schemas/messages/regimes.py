"""What a market is doing, as the rules or a language model judge it."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import Count, Duration, Finite, Label, LogName, Offset, Partition, Share, Text, TimeNs
from schemas.messages.instruments import InstrumentRecord, Source


class Regime(StrEnum):
    """What the market of one instrument is doing, as one word."""

    BULLISH_PRESSURE = "BULLISH_PRESSURE"
    BEARISH_PRESSURE = "BEARISH_PRESSURE"
    BALANCED = "BALANCED"
    VOLATILE = "VOLATILE"
    REGIME_CHANGE = "REGIME_CHANGE"
    UNKNOWN = "UNKNOWN"


class Outlook(StrEnum):
    """Which way a language model thinks that a mid goes over the coming minute."""

    UP = "UP"
    DOWN = "DOWN"
    FLAT = "FLAT"
    """It does not say."""


class RegimeSource(StrEnum):
    """Who judged a window."""

    RULE = "rule"
    LLM = "llm"
    CACHE = "cache"
    """What the language model had answered to the same question a moment ago."""


class RegimeEvent(InstrumentRecord, frozen=True, gc=False):
    """One judgement of one closed window of an instrument's factor events (`regimes.v1`).

    Identity: (instrument, stream, source_log, window_end_ns), where the stream is who judged. Within it `window_end_ns`
    and `source_offset` rise together, since one factor event closes at most one window. Rule events are the same to the
    bit in every replay; of each arm of a language model that was asked about the window, one more may follow.

    Attributes:
        venue, symbol: The instrument.
        feed_source: Where the frames of the window's last event came from.
        source: Who judged.
        label: The judgement.
        score: Of the rules, in [0, 1]: how far what decided lies beyond its bar; no probability. Null of the model.
        confidence: Of the model: P(the mid goes the likelier way over the coming minute | it changes). Null of the
            rules. In rows of rule set r1 and of prompt v1, what those called so.
        p_up, p_volatile: Of the model: P(the mid rises over the coming minute | it changes); P(that minute's realised
            variance exceeds the median of the 60 minutes before).
        outlook: UP where `p_up` is above 0.55, DOWN below 0.45, else FLAT; null of the rules.
        observations: What it rests on, one to three lines; from a template where the rules judged.
        risk: What could make it wrong; likewise.
        summary: One sentence; likewise.
        unfaithful: Whether a number in the model's observations is none of those it was shown; null of the rules.
        sentence: What a model said to prompt v1; else empty.
        window_start_ns, window_end_ns: The window is [start, end) of `received_ns`.
        rule_set: Version of the rules and digest of their thresholds.
        direction: How unusual the imbalance is, standard deviations; null while warming up.
        lean: Its short mean; null while warming up and of r1.
        variance_ratio: Realised variance now over what it was for longer; null while warming up and of r1.
        volatility: Of r1: percentile of the realised variance, [0, 1]; else null.
        change: CUSUM of the direction; null while warming up.
        events, usable_events: Factor events in the window, and those with status OK or THIN.
        whole: No event of the window was RESYNCING.
        mid: Last usable mid.
        return_bps: Change of the mid since before the window, bps.
        imbalance: Mean `obi_10bps`, by time; of r1 by events.
        order_flow: Sum of `ofi_l1`, base units.
        depth: Mean notional within 10 bps of mid, both sides, quote units; likewise.
        spread_bps: Mean spread, bps; likewise.
        obi_l1_last, obi_l5_last, ofi_l1_1s_last: These factors of the last usable event; null of r1.
        trade_flow: What aggressive buyers took less what aggressive sellers gave over the five seconds up to the last
            usable event, base units; null without a trade in them, where they are not known, and in records of version
            4 and before.
        trade_volume: What both traded over the same seconds, base units; likewise.
        realised_variance: Sum of squared one-second log returns of the mid.
        source_log, source_partition, source_offset: The record of `l2.v1` whose factor event closed the window.
        model, prompt_version, prompt_hash: What was asked, of whom; empty for rules.
        arm: Of the rollout, that answered: blue or green; empty of the rules, and in records of version 3 and before.
        latency_ms: From the close of the window to the publication of the answer, by a monotonic clock: waiting for the
            checkpoint, the queue and the pace, and all tries included; null for rules.
        input_tokens, output_tokens, cost_usd: Of the answer; null for rules and where the endpoint reports no usage,
            the cost also where no prices are set.
        decided_ns: When it could first be known, ns UTC: `received_ns` of the event that closed the window; of an
            answer that and its latency. Null in records of version 1.
        run: Of the window's last event, as in `L2Record`.
    """

    feed_source: Source
    source: RegimeSource
    label: Regime
    window_start_ns: TimeNs
    window_end_ns: TimeNs
    rule_set: Label
    events: Count
    usable_events: Count
    whole: bool
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    score: Share | None = None
    confidence: Share | None = None
    p_up: Share | None = None
    p_volatile: Share | None = None
    outlook: Outlook | None = None
    observations: Text = ""
    risk: Text = ""
    summary: Text = ""
    unfaithful: bool | None = None
    sentence: Text = ""
    direction: Finite | None = None
    lean: Finite | None = None
    variance_ratio: Finite | None = None
    volatility: Finite | None = None
    change: Finite | None = None
    mid: Finite | None = None
    return_bps: Finite | None = None
    imbalance: Finite | None = None
    order_flow: Finite | None = None
    depth: Finite | None = None
    spread_bps: Finite | None = None
    obi_l1_last: Finite | None = None
    obi_l5_last: Finite | None = None
    ofi_l1_1s_last: Finite | None = None
    trade_flow: Finite | None = None
    trade_volume: Finite | None = None
    realised_variance: Finite | None = None
    model: Text = ""
    prompt_version: Label = ""
    prompt_hash: Label = ""
    arm: Label = ""
    latency_ms: Duration | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: Finite | None = None
    decided_ns: TimeNs | None = None
    run: Label = ""

    @property
    def stream(self) -> str:
        """In which identities rise: who judged."""
        return f"{self.source.value} {self.arm}".rstrip()
