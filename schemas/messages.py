"""The records that cross a process boundary.

Prices and sizes are integers: ticks and lots on the grid the record itself carries (`tick_size`, `lot_size`).
Times are nanoseconds since the epoch, UTC: `exchange_ns` is the venue's (matching time where it gives one, else its
send time, else null), `received_ns` is ours, at the socket. What is known is decided by `received_ns`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from schemas.bounds import MAX_EVENTS as MAX_EVENTS  # who needs these three takes them from here
from schemas.bounds import (
    Amount,
    Count,
    Decimal,
    Duration,
    Epoch,
    Few,
    Finite,
    Int64,
    Label,
    Levels,
    LogName,
    Offset,
    OffsetOrNone,
    Partition,
    PartitionOrNone,
    Payload,
    Quoted,
    Share,
    SignedAmount,
    Symbol,
    Text,
    TimeNs,
    TradePrices,
    TradeSizes,
    Venue,
)
from schemas.rollouts import RolloutRecord


class Source(StrEnum):
    """Where the frames came from."""

    LIVE = "live"
    REPLAY = "replay"
    SIMULATOR = "simulator"


class Kind(StrEnum):
    """What an L2 record does to the book."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"
    INVALID = "invalid"


class Reason(StrEnum):
    """Why a book is not (or no longer) LIVE."""

    GAP = "gap"
    NO_BRIDGE = "no_bridge"
    CHECKSUM = "checksum"
    CROSSED = "crossed"
    DISCONNECT = "disconnect"
    OVERLOAD = "overload"
    REGRID = "regrid"
    BAD_INPUT = "bad_input"
    SNAPSHOT_MISMATCH = "snapshot_mismatch"
    RESYNC_REQUESTED = "resync_requested"
    STALE_EPOCH = "stale_epoch"
    RESTART = "restart"
    BEYOND_SNAPSHOT = "beyond_snapshot"
    """The best price of a side lies farther out than what is known of it."""
    QUOTE_MISMATCH = "quote_mismatch"
    """The venue's own best quotes contradicted the book three times in a row."""
    DELISTED = "delisted"
    """The venue trades the instrument no longer: no book follows."""


class Coverage(StrEnum):
    """How far a book is known."""

    WHOLE = "whole"
    """The venue sends every level."""
    RANGE = "range"
    """Nothing is missing up to a price of each side; deltas never widen it."""
    TOP_N = "top_n"
    """The venue keeps exactly so many levels: known as far as the worst one held."""


class ContractKind(StrEnum):
    """How a size becomes a notional."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class SequenceSource(StrEnum):
    """Whether the venue numbers its updates or we had to."""

    VENUE = "venue"
    SYNTHETIC = "synthetic"


class Status(StrEnum):
    """State of the book behind a factor event: the first of these that holds."""

    RESYNCING = "RESYNCING"
    EMPTY = "EMPTY"
    ONE_SIDED = "ONE_SIDED"
    CROSSED = "CROSSED"
    LOCKED = "LOCKED"
    THIN = "THIN"
    OK = "OK"


class FeedState(StrEnum):
    """What a producer says of one instrument's feed."""

    CONNECTING = "connecting"
    AWAITING_SNAPSHOT = "awaiting_snapshot"
    LIVE = "live"
    INVALID = "invalid"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


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


class SignalKind(StrEnum):
    """What a signal is made of."""

    IMBALANCE = "imbalance"
    """`obi_l5` against what it was."""
    FLOW = "flow"
    """`ofi_l1_1s` against what it was."""
    CLASSIC = "classic"
    """`obi_l1_z`: the best level against the 20 events before."""


class SignalAction(StrEnum):
    """Which step a signal takes."""

    OPEN = "open"
    CLOSE = "close"


class SignalSide(StrEnum):
    """Which way a signal points."""

    LONG = "long"
    SHORT = "short"


class SignalReason(StrEnum):
    """Why a signal takes a step."""

    ENTERED = "entered"
    """Its z reached the bar, and nothing spoke against it."""
    HORIZON = "horizon"
    """It was open for as long as it may be."""
    LEFT = "left"
    """Its z fell back."""
    UNUSABLE = "unusable"
    """The book, or the factor, says nothing any more."""


class AnomalyKind(StrEnum):
    """In what way a book is not as it was."""

    LIQUIDITY_SHIFT = "liquidity_shift"
    """The depth within 10 bps of mid fell far below what it was."""
    ONE_SIDED = "one_sided"
    """A side is empty."""
    LOCKED = "locked"
    """Best bid and best ask are equal."""
    WIDE_SPREAD = "wide_spread"
    """The spread is several times what it was."""
    STALE = "stale"
    """Depth fell silent: what the venue has now is not known."""
    SPOOFING_LIKE = "spoofing_like"
    """A large order came and went untraded while others traded its way: a pattern, never an accusation."""


class AnomalyAction(StrEnum):
    """Whether an episode begins or ends."""

    OPEN = "open"
    CLOSE = "close"


class AnomalyReason(StrEnum):
    """Why an episode begins or ends."""

    BEGAN = "began"
    ENDED = "ended"
    BROKEN = "broken"
    """The book broke: how the episode went on is not known."""


class LevelSide(StrEnum):
    """A side of a book."""

    BID = "bid"
    ASK = "ask"


class ArbitrageAction(StrEnum):
    """What an episode of arbitrage does."""

    OPEN = "open"
    PEAK = "peak"
    """Its profit exceeds the last one told by a tenth."""
    CLOSE = "close"


class ArbitrageReason(StrEnum):
    """Why an episode takes a step."""

    FOUND = "found"
    GONE = "gone"
    """No size clears the bar any more."""
    NOT_FRESH = "not_fresh"
    """One of the books is old, broken or one-sided."""


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


class InstrumentKey(NamedTuple):
    """An instrument: the venue and the venue's own symbol. Never a symbol alone: spot and linear share names."""

    venue: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> InstrumentKey:
        """Read `venue:symbol`, the key of every per-instrument topic."""
        venue, _, symbol = text.partition(":")
        return cls(venue, symbol)


class InstrumentRecord(msgspec.Struct, frozen=True, gc=False):
    """What every record of one instrument begins with.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
    """

    venue: Venue
    symbol: Symbol

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)


class L2Record(InstrumentRecord, frozen=True, gc=False):
    """One update of one book, as the producer vouches for it (`l2.v1`).

    A delta is valid if and only if its epoch is the book's and its `previous_sequence` equals the book's `sequence`;
    sequences are never compared by order. Sizes are absolute and 0 removes the level.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
        source: Live, replay or simulator.
        kind: Snapshot, delta or invalid.
        reason: Why the book is invalid; null on snapshots and deltas.
        epoch: Fences producers: raised by restart, refetch and regrid, kept by snapshots from memory.
        sequence: The venue's number of this update (or a counter, see `sequence_source`).
        previous_sequence: The sequence this delta connects to; null on snapshots and invalids.
        exchange_ns: The venue's time, ns UTC; null where it gives none.
        received_ns: Our time at the socket, ns UTC; never falls within an instrument.
        tick_size: Price of one tick, decimal string.
        lot_size: Size of one lot, decimal string.
        contract_value: Base (linear) or quote (inverse) amount of one contract, decimal string; "1" on spot.
        contract_kind: How a size becomes a notional.
        sequence_source: Whether the venue numbered this update.
        coverage: How far the book of a snapshot is known; null on deltas and invalids, which change nothing of it, and
            in records of version 1, whose books count as whole.
        bid_known_ticks, ask_known_ticks: Of a range, the farthest price of each side up to which nothing is missing;
            null where the whole side is known.
        bid_ticks, bid_lots, ask_ticks, ask_lots: Levels as parallel arrays.
        trade_ticks, trade_lots: Trades received since the previous delta, in order of receipt; lots are signed,
            positive where the buyer was the aggressor. Empty on snapshots and invalids. A trade that does not lie on
            this grid is in `trades.v1` alone.
        quote_flow_lots: Of a delta: order flow at the best quotes (Cont, Kukanov, Stoikov's e) summed over the updates
            of the best quotes received since the previous delta, in the venue's order, lots; null where the stream is
            not subscribed or had a hole.
        quote_events: How many such updates were received since then.
        run: What run of a producer wrote it (`schemas/runs.py`); empty in records of version 1.
    """

    source: Source
    kind: Kind
    epoch: Epoch
    sequence: Int64
    received_ns: TimeNs
    tick_size: Decimal
    lot_size: Decimal
    reason: Reason | None = None
    previous_sequence: Int64 | None = None
    exchange_ns: TimeNs | None = None
    contract_value: Decimal = "1"
    contract_kind: ContractKind = ContractKind.SPOT
    sequence_source: SequenceSource = SequenceSource.VENUE
    coverage: Coverage | None = None
    bid_known_ticks: Count | None = None
    ask_known_ticks: Count | None = None
    bid_ticks: Levels = []
    bid_lots: Levels = []
    ask_ticks: Levels = []
    ask_lots: Levels = []
    trade_ticks: TradePrices = []
    trade_lots: TradeSizes = []
    quote_flow_lots: Int64 | None = None
    quote_events: Few = 0
    run: Label = ""


class TradeRecord(InstrumentRecord, frozen=True, gc=False):
    """One public trade (`trades.v1`).

    Attributes:
        venue, symbol, source: As in `L2Record`.
        trade_id: The venue's id of the trade, as text.
        exchange_ns, received_ns: As in `L2Record`.
        tick_size, lot_size, contract_value, contract_kind: The grid, as in `L2Record`.
        price_ticks: Price in ticks.
        size_lots: Signed size in lots: positive where the buyer was the aggressor.
        run: As in `L2Record`.
    """

    source: Source
    trade_id: Label
    received_ns: TimeNs
    tick_size: Decimal
    lot_size: Decimal
    price_ticks: Count
    size_lots: Int64
    exchange_ns: TimeNs | None = None
    contract_value: Decimal = "1"
    contract_kind: ContractKind = ContractKind.SPOT
    run: Label = ""


class DerivativeRecord(InstrumentRecord, frozen=True, gc=False):
    """What a venue told of a derivative besides its book: funding, mark price, open interest (`derivatives.v1`).

    It says what one message of the venue said, and no more: a value that the message did not carry is null, which means
    "not told here", not "none there is". The newest value of each is the last one that is not null.

    The numbers are decimal strings, exactly as the venue wrote them but for padding: they lie on no grid (a mark price
    is an average, a funding rate has a scale of its own), and float64 would not give back the 16 and more digits that
    some of them have.

    Attributes:
        venue, symbol, source: As in `L2Record`.
        exchange_ns, received_ns: As in `L2Record`.
        funding_rate: What longs pay shorts at the next funding, a share of the notional (0.0001 is 1 bp); negative
            where shorts pay. Of Deribit, which funds continuously, the present rate for 8 hours.
        next_funding_ns: When that is, ns UTC.
        funding_interval_s: Time between two fundings, seconds.
        mark_price: What positions are valued at, in the quote currency; of an option as its book is quoted.
        index_price: Price of the underlying, in the quote currency.
        open_interest: Contracts that are open, in the unit of the book's sizes: each of them is worth `contract_value`.
        contract_value, contract_kind: As in `L2Record`.
        run: As in `L2Record`.
    """

    source: Source
    received_ns: TimeNs
    exchange_ns: TimeNs | None = None
    funding_rate: SignedAmount | None = None
    next_funding_ns: TimeNs | None = None
    funding_interval_s: Few | None = None
    mark_price: Amount | None = None
    index_price: Amount | None = None
    open_interest: Amount | None = None
    contract_value: Decimal = "1"
    contract_kind: ContractKind = ContractKind.LINEAR
    run: Label = ""


class FeedStatus(InstrumentRecord, frozen=True, gc=False):
    """A change, or a heartbeat, of one instrument's feed (`feed-status.v1`).

    Attributes:
        venue, symbol, source: As in `L2Record`.
        state: What the feed is now.
        reason: Why, where it is not live.
        epoch: The producer's current epoch.
        sequence: The book's sequence; null before the first snapshot.
        received_ns: When this became true, ns UTC.
        heartbeat: True where there is nothing to say beyond the last status of this instrument.
        detail: One sentence for a person.
        run: As in `L2Record`.
    """

    source: Source
    state: FeedState
    epoch: Epoch
    received_ns: TimeNs
    reason: Reason | None = None
    sequence: Int64 | None = None
    heartbeat: bool = False
    detail: Text = ""
    run: Label = ""


class ResyncRequest(InstrumentRecord, frozen=True, gc=False):
    """A reader whose book broke asks the producer for a snapshot (`resync.v1`).

    Attributes:
        venue, symbol: The instrument.
        reason: What broke.
        epoch: The reader's epoch; where the producer's is lower it lifts its own above it.
        source_partition, source_offset: Where in `l2.v1` it broke; older requests than the last snapshot are ignored.
        attempt: 1 for the first request, then 2, 3 … after 1, 2, 4 … 30 s.
    """

    reason: Reason
    epoch: Epoch
    source_partition: Partition
    source_offset: Offset
    attempt: Few = 1


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A message that could not be used, with its cause and origin (`dead-letters.v1`).

    Attributes:
        letter_id: Deterministic: `topic_id:partition:offset` for a record,
            `venue:connection:received_ns:counter` for a frame, so that the same letter written
            again after a crash is the same letter.
        role: Who refused it: producer, processor, regimes or sink.
        reason: The error's class name.
        error: The error's sentence, cut at `bounds.MAX_LETTER_TEXT` characters.
        venue, symbol: Where known, else empty; cut like the error.
        source_topic, source_partition, source_offset: Where the record lay; topic empty and -1 for frames.
        received_ns: When the refused message was received (a record: its Kafka time), ns UTC.
        payload: The bytes, cut at 64 KiB.
        payload_bytes: Their full length before the cut.
    """

    letter_id: Quoted
    role: Label
    reason: Label
    error: Quoted
    received_ns: TimeNs
    payload: Payload
    payload_bytes: Count
    venue: Quoted = ""
    symbol: Quoted = ""
    source_topic: Label = ""
    source_partition: PartitionOrNone = -1
    source_offset: OffsetOrNone = -1


class FactorEvent(msgspec.Struct, frozen=True, gc=False):
    """The factors after one record.

    Attributes:
        source_offset: Offset of that record in `l2.v1`.
        sequence: Its sequence.
        exchange_ns, received_ns: Its times.
        status: State of the book.
        values: One nullable float a factor, in the order of `schemas.factors.FACTORS`. Null is "no value":
            never 0, never NaN.
    """

    source_offset: Offset
    sequence: Int64
    received_ns: TimeNs
    status: Status
    values: tuple[Finite | None, ...]
    exchange_ns: TimeNs | None = None

    @property
    def decided_ns(self) -> int:
        """When the event could first be known, ns UTC: when its record was received. Records carry it."""
        return self.received_ns


class FactorRecord(InstrumentRecord, frozen=True, gc=False):
    """Consecutive factor events of one instrument (`factors.v1`), at most `MAX_EVENTS`.

    Identity of an event: (instrument, source_log, source_partition, source_offset). A replay after a crash reproduces
    identity and values, though records may pack events differently.

    Attributes:
        venue, symbol, source: As in `L2Record`.
        factor_set: Version of the factor list.
        source_log: First 8 characters of the Kafka topic id of `l2.v1`: a recreated topic is another log.
        source_partition: Partition of `l2.v1`.
        events: In source order.
        run: Of the book records behind all of them, as in `L2Record`.
    """

    source: Source
    factor_set: Label
    source_log: LogName
    source_partition: Partition
    events: list[FactorEvent]
    run: Label = ""


class RegimeEvent(InstrumentRecord, frozen=True, gc=False):
    """One judgement of one closed window of an instrument's factor events (`regimes.v1`).

    Identity: (instrument, source, source_log, window_end_ns). Within it `window_end_ns` and `source_offset` rise
    together, since one factor event closes at most one window. Rule events are the same to the bit in every replay;
    a second event of the window, from the language model, may follow.

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
        realised_variance: Sum of squared one-second log returns of the mid.
        source_log, source_partition, source_offset: The record of `l2.v1` whose factor event closed the window.
        model, prompt_version, prompt_hash: What was asked, of whom; empty for rules.
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
    realised_variance: Finite | None = None
    model: Text = ""
    prompt_version: Label = ""
    prompt_hash: Label = ""
    latency_ms: Duration | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: Finite | None = None
    decided_ns: TimeNs | None = None
    run: Label = ""


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


class SignalEvent(InstrumentRecord, frozen=True, gc=False):
    """One step of one kind of signal of an instrument (`signals.v1`): it opens, or it closes.

    Identity: (instrument, kind, source_log, source_partition, source_offset): an event makes a kind take one step at
    most. The same events give the same steps to the bit, however they are packed.

    Attributes:
        venue, symbol: The instrument.
        feed_source: Where the frames behind the event came from.
        kind, action, side, reason: The step.
        x: The factor judged.
        z: How unusual it is, standard deviations of what held before; no probability.
        trend: Its mean of late less its mean before that.
        mid: Of the event; null where the book has none.
        horizon_ms: Longest time the signal stays open, and the time its forecast is about.
        edge_bps: What it promises over the horizon; null until that was fitted.
        cost_bps: Spread and twice the taker's fee; null where no fee is known.
        tradable: Whether the edge exceeds the cost; null where one of them is.
        confidence: Share of forecasts of this instrument, kind and side that came true, of those whose mid moved, with
            ten of twenty assumed before the first.
        confidence_n: How many were judged.
        received_ns: When the event that made the step was received, ns UTC.
        decided_ns: When the step could first be known, ns UTC: then.
        signal_set: Version of the signals and digest of all they depend on.
        source_log, source_partition, source_offset: The record of `l2.v1` whose factor event made the step.
        opened_offset: Of a close, the offset of its opening; else null.
        held_ms: Of a close, the time since its opening; else null.
        return_bps: Of a close, the mid's gross change the signal's way, bps; null without both mids.
        run: As in `L2Record`.
    """

    feed_source: Source
    kind: SignalKind
    action: SignalAction
    side: SignalSide
    reason: SignalReason
    horizon_ms: Duration
    confidence: Share
    confidence_n: Count
    received_ns: TimeNs
    decided_ns: TimeNs
    signal_set: Label
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    x: Finite | None = None
    z: Finite | None = None
    trend: Finite | None = None
    mid: Finite | None = None
    edge_bps: Finite | None = None
    cost_bps: Finite | None = None
    tradable: bool | None = None
    opened_offset: Offset | None = None
    held_ms: Duration | None = None
    return_bps: Finite | None = None
    run: Label = ""


class AnomalyEvent(InstrumentRecord, frozen=True, gc=False):
    """An episode of an instrument begins or ends (`anomalies.v1`).

    Identity: (instrument, kind, source_log, source_partition, source_offset), once a kind and event; of those that name
    a level (`price`), that too.

    Attributes:
        venue, symbol: The instrument.
        feed_source: Where the frames behind the event came from.
        kind, action, reason: What begins or ends, and why.
        received_ns: When the event that made the step was received, ns UTC.
        decided_ns: When the step could first be known, ns UTC: then.
        anomaly_set: Version of the anomalies and digest of their thresholds.
        source_log, source_partition, source_offset: The record of `l2.v1` behind the step; of `stale` that of
            `feed-status.v1`, as all other offsets.
        first_offset: The record at which the condition began to hold, or the level grew.
        step: Number of the step among those of its kind and event, from 0.
        side: The side that is empty, or on which the level lies.
        opened_offset: Of a close, the record of its opening; else null.
        lasted_ms: Of a close, the time since its opening; else null.
        score: A score in [0, 1]; null for kinds without one. No probability.
        z: Of a shift of liquidity: how far x lies from its baseline, standard deviations.
        x: The number judged: the depth's logarithm; the spread in ticks.
        baseline: What it is judged against.
        mid: Of the book.
        spread_bps: Spread, bps.
        move_bps: The mid's move of the last second, bps; of a level, that from its growth to its end, + in its favour.
        recovery_s: Of a shift that closes, the time until half of the drop was regained.
        is_censored: Whether that was not seen: the book broke, or it took too long.
        price: Of the level, quote units.
        base_size, added_size, removed_size: Size before it grew, what was added, what was taken away, base units.
        traded_size: Of that, what was traded against it, base units.
        flow_with, flow_against: Aggressive size meanwhile in the direction the level leans, and against it.
        side_share: What was added over the size of its side within 10 bps.
        life_s: How long it stood.
        run: As in `L2Record`.
    """

    feed_source: Source
    kind: AnomalyKind
    action: AnomalyAction
    reason: AnomalyReason
    received_ns: TimeNs
    decided_ns: TimeNs
    anomaly_set: Label
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    first_offset: Offset
    step: Few = 0
    side: LevelSide | None = None
    opened_offset: Offset | None = None
    lasted_ms: Duration | None = None
    score: Share | None = None
    z: Finite | None = None
    x: Finite | None = None
    baseline: Finite | None = None
    mid: Finite | None = None
    spread_bps: Finite | None = None
    move_bps: Finite | None = None
    recovery_s: Duration | None = None
    is_censored: bool | None = None
    price: Finite | None = None
    base_size: Finite | None = None
    added_size: Finite | None = None
    removed_size: Finite | None = None
    traded_size: Finite | None = None
    flow_with: Finite | None = None
    flow_against: Finite | None = None
    side_share: Finite | None = None
    life_s: Duration | None = None
    run: Label = ""

    @property
    def stream(self) -> str:
        """In which identities rise: the kind, and which of several steps of one event it is."""
        return self.kind.value if self.step == 0 else f"{self.kind.value}.{self.step}"


class QuoteRecord(InstrumentRecord, frozen=True, gc=False):
    """The top of a maintained book (`quotes.v1`), by canonical symbol, so that all venues of it lie in one partition.

    Attributes:
        venue, symbol: The instrument.
        canonical: Base, quote and kind of the contract, as `BTC-USDT-linear`, with its expiry where it has one.
        feed_source: Where the frames came from.
        status: Of the book; of one that is RESYNCING no level is told.
        epoch: Of its producer.
        received_ns: When the record was received behind which the book is so, ns UTC.
        decided_ns: When the quote could first be known, ns UTC: then.
        tick_size, lot_size, contract_value, contract_kind: The grid, as in `L2Record`.
        bid_ticks, bid_lots, ask_ticks, ask_lots: Up to 20 levels a side, best first, none beyond what is known.
        source_log, source_partition, source_offset: That record of `l2.v1`.
        run: As in `L2Record`.
    """

    canonical: Label
    feed_source: Source
    status: Status
    epoch: Epoch
    received_ns: TimeNs
    decided_ns: TimeNs
    tick_size: Decimal
    lot_size: Decimal
    contract_value: Decimal
    contract_kind: ContractKind
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    bid_ticks: Levels = []
    bid_lots: Levels = []
    ask_ticks: Levels = []
    ask_lots: Levels = []
    run: Label = ""


class ArbitrageEvent(InstrumentRecord, frozen=True, gc=False):
    """A step of an episode: two books of one canonical symbol cross, fees counted (`arbitrage.v1`).

    No transfer, no funding and no risk of one leg alone is counted.

    Identity: (canonical, buy and sell instrument, source_log, source_partition, source_offset).

    Attributes:
        venue, symbol: Where to buy.
        canonical: As in `QuoteRecord`.
        sell_venue, sell_symbol: Where to sell.
        feed_source: Where the frames came from.
        action, reason: The step.
        episode: Number of the episode of this pair, from 1.
        step: Number of the step in its episode, from 0.
        received_ns: When the record behind the newer quote was received, ns UTC.
        decided_ns: When the step could first be known, ns UTC: then.
        arbitrage_set: Version of the rule and digest of its settings.
        buy_age_ms, sell_age_ms: Age of each book then.
        buy_taker_bps, sell_taker_bps: Fees counted; null where there is none.
        opened_ns: When the episode opened, ns UTC.
        size: Largest size whose every lot clears the bar, base units, on inverse contracts quote; null of a close.
        buy_vwap, sell_vwap: Mean prices of that size, quote units.
        gross_bps, net_bps: What selling brings over what buying costs, without and with fees.
        profit: After fees, quote units, on inverse contracts base.
        notional: What buying costs before fees, in quote units.
        capital_profit: Profit of what the capital in the settings buys.
        depth_limited: Whether a book ended before the bar did.
        source_log, source_partition, source_offset: The record of `quotes.v1` that made the step.
        run: Of that quote, as in `L2Record`.
    """

    canonical: Label
    sell_venue: Venue
    sell_symbol: Symbol
    feed_source: Source
    action: ArbitrageAction
    reason: ArbitrageReason
    episode: Count
    step: Count
    received_ns: TimeNs
    decided_ns: TimeNs
    arbitrage_set: Label
    buy_age_ms: Finite
    sell_age_ms: Finite
    opened_ns: TimeNs
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    buy_taker_bps: Finite | None = None
    sell_taker_bps: Finite | None = None
    size: Finite | None = None
    buy_vwap: Finite | None = None
    sell_vwap: Finite | None = None
    gross_bps: Finite | None = None
    net_bps: Finite | None = None
    profit: Finite | None = None
    notional: Finite | None = None
    capital_profit: Finite | None = None
    depth_limited: bool | None = None
    run: Label = ""

    @property
    def stream(self) -> str:
        """In which identities rise: the canonical symbol, and where to sell."""
        return f"{self.canonical}>{self.sell_venue}:{self.sell_symbol}"


Record = (
    L2Record
    | TradeRecord
    | DerivativeRecord
    | FeedStatus
    | ResyncRequest
    | DeadLetter
    | FactorRecord
    | RegimeEvent
    | LlmCall
    | SignalEvent
    | AnomalyEvent
    | QuoteRecord
    | ArbitrageEvent
    | RolloutRecord
)
