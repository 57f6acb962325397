"""The records that cross a process boundary.

Prices and sizes are integers: ticks and lots on the grid the record itself carries (`tick_size`, `lot_size`).
Times are nanoseconds since the epoch, UTC: `exchange_ns` is the venue's (matching time where it gives one, else its
send time, else null), `received_ns` is ours, at the socket. What is known is decided by `received_ns`.

A family of records is a file; who reads them takes them from here.
"""

from __future__ import annotations

from schemas.bounds import MAX_EVENTS
from schemas.evaluations import RegimeEval
from schemas.messages.anomalies import AnomalyAction, AnomalyEvent, AnomalyKind, AnomalyReason, LevelSide
from schemas.messages.arbitrage import ArbitrageAction, ArbitrageEvent, ArbitrageReason, QuoteRecord
from schemas.messages.calls import CallOutcome, LlmCall
from schemas.messages.factors import FactorEvent, FactorRecord, Status
from schemas.messages.feeds import FeedState, FeedStatus, ResyncRequest
from schemas.messages.instruments import ContractKind, InstrumentKey, InstrumentRecord, Source
from schemas.messages.letters import DeadLetter
from schemas.messages.market import Coverage, DerivativeRecord, Kind, L2Record, Reason, SequenceSource, TradeRecord
from schemas.messages.quality import FeedQuality
from schemas.messages.regimes import Outlook, Regime, RegimeEvent, RegimeSource
from schemas.messages.signals import SignalAction, SignalEvent, SignalKind, SignalReason, SignalSide
from schemas.rollouts import RolloutRecord

__all__ = [
    "MAX_EVENTS",
    "AnomalyAction",
    "AnomalyEvent",
    "AnomalyKind",
    "AnomalyReason",
    "ArbitrageAction",
    "ArbitrageEvent",
    "ArbitrageReason",
    "CallOutcome",
    "ContractKind",
    "Coverage",
    "DeadLetter",
    "DerivativeRecord",
    "FactorEvent",
    "FactorRecord",
    "FeedQuality",
    "FeedState",
    "FeedStatus",
    "InstrumentKey",
    "InstrumentRecord",
    "Kind",
    "L2Record",
    "LevelSide",
    "LlmCall",
    "Outlook",
    "QuoteRecord",
    "Reason",
    "Record",
    "Regime",
    "RegimeEval",
    "RegimeEvent",
    "RegimeSource",
    "ResyncRequest",
    "RolloutRecord",
    "SequenceSource",
    "SignalAction",
    "SignalEvent",
    "SignalKind",
    "SignalReason",
    "SignalSide",
    "Source",
    "Status",
    "TradeRecord",
]

Record = (
    L2Record
    | TradeRecord
    | DerivativeRecord
    | FeedStatus
    | FeedQuality
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
    | RegimeEval
)
