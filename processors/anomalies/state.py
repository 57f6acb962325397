"""One instrument's anomalies: what is remembered, and the episodes that an event opens and closes."""

from __future__ import annotations

from math import log
from typing import Any, Final

import msgspec

from processors.anomalies.episodes import AnomalyStep, Episode, Lasting, open_episode
from processors.anomalies.liquidity import DepthBaseline, has_recovered, is_shift, log_depth
from processors.anomalies.thresholds import AnomalyThresholds
from processors.derived.followed import FollowedLog
from processors.derived.recent import RecentValues
from schemas.factors import FACTOR_INDEX
from schemas.messages import AnomalyKind, AnomalyReason, FactorEvent, LevelSide, Status
from schemas.units import NS_PER_SECOND

MID, BEST_BID = FACTOR_INDEX["mid"], FACTOR_INDEX["best_bid"]
BID_DEPTH, ASK_DEPTH = FACTOR_INDEX["bid_depth_10bps"], FACTOR_INDEX["ask_depth_10bps"]
USABLE: Final = (Status.OK, Status.THIN)
HELD_STATUSES: Final = {AnomalyKind.ONE_SIDED: Status.ONE_SIDED, AnomalyKind.LOCKED: Status.LOCKED}


class AnomalyState(msgspec.Struct):
    """Memory of one instrument. Serialisable as it stands.

    Attributes:
        followed: How far its events were taken.
        depth: What the depth was.
        mids: Those of the last second.
        lasting: Since when the condition of each kind holds.
        episodes: Those that are open, by kind.
    """

    followed: FollowedLog = msgspec.field(default_factory=FollowedLog)
    depth: DepthBaseline = msgspec.field(default_factory=DepthBaseline)
    mids: RecentValues = msgspec.field(default_factory=RecentValues)
    lasting: dict[AnomalyKind, Lasting] = {}
    episodes: dict[AnomalyKind, Episode] = {}


def forget(state: AnomalyState) -> None:
    """Start every memory afresh, as another stream begins."""
    state.depth, state.mids, state.lasting, state.episodes = DepthBaseline(), RecentValues(), {}, {}


def take_event(state: AnomalyState, event: FactorEvent, settings: AnomalyThresholds) -> list[AnomalyStep]:
    """Take one new event, and return the episodes it closes and opens.

    Args:
        state: The instrument's memory; changed in place.
        event: The event.
        settings: Thresholds.
    """
    if event.status is Status.RESYNCING:
        broken = [AnomalyStep(kind, AnomalyReason.BROKEN, event, one, {}) for kind, one in state.episodes.items()]
        forget(state)
        return broken
    steps = [_status_step(state, event, kind, settings) for kind in HELD_STATUSES]
    return [step for step in (*steps, _shift_step(state, event, settings)) if step is not None]


def _status_step(
    state: AnomalyState, event: FactorEvent, kind: AnomalyKind, settings: AnomalyThresholds
) -> AnomalyStep | None:
    holds = event.status is HELD_STATUSES[kind]
    lasting, episode = state.lasting.setdefault(kind, Lasting()), state.episodes.get(kind)
    held_s = lasting.note(event.received_ns, event.source_offset, holds=holds)
    if episode is None and held_s >= settings.status_held_seconds:
        state.episodes[kind] = episode = open_episode(event, lasting, side=_missing(event))
        return AnomalyStep(kind, AnomalyReason.BEGAN, event, episode, {})
    if episode is not None and not holds:
        return AnomalyStep(kind, AnomalyReason.ENDED, event, state.episodes.pop(kind), {})
    return None


def _missing(event: FactorEvent) -> LevelSide | None:
    """The side that a one-sided book lacks."""
    if event.status is not Status.ONE_SIDED:
        return None
    return LevelSide.BID if event.values[BEST_BID] is None else LevelSide.ASK


def _shift_step(state: AnomalyState, event: FactorEvent, settings: AnomalyThresholds) -> AnomalyStep | None:
    depth, at_ns, is_usable = state.depth, event.received_ns, event.status in USABLE
    x = log_depth(event.values[BID_DEPTH], event.values[ASK_DEPTH]) if is_usable else None
    depth.advance(at_ns, settings.half_life_ns)
    is_warm = depth.observed_ns >= settings.warmup_seconds * NS_PER_SECOND
    z = depth.z(x, settings.shift_floor) if x is not None and is_warm else None
    state.mids.add(at_ns, event.values[MID] if is_usable else None)
    step = _judge_shift(state, event, x, z, settings)
    depth.hold(x)
    return step


def _judge_shift(
    state: AnomalyState, event: FactorEvent, x: float | None, z: float | None, settings: AnomalyThresholds
) -> AnomalyStep | None:
    kind, mean = AnomalyKind.LIQUIDITY_SHIFT, state.depth.mean
    lasting, episode = state.lasting.setdefault(kind, Lasting()), state.episodes.get(kind)
    low = x is not None and z is not None and is_shift(x, z, mean, settings)
    held_s = lasting.note(event.received_ns, event.source_offset, holds=low)
    if episode is not None and x is not None:
        _note_recovery(episode, x, event.received_ns, settings)
    evidence = {"z": z, "x": x, "baseline": mean, "move_bps": _move_bps(state, event)}
    if episode is None and x is not None and held_s >= settings.shift_held_seconds:
        state.episodes[kind] = episode = open_episode(event, lasting, x=x, baseline=mean)
        return AnomalyStep(kind, AnomalyReason.BEGAN, event, episode, evidence)
    if episode is not None and z is not None and z > -settings.rearm_z:
        return AnomalyStep(kind, AnomalyReason.ENDED, event, state.episodes.pop(kind), evidence)
    return None


def _note_recovery(episode: Episode, x: float, at_ns: int, settings: AnomalyThresholds) -> None:
    after_s = (at_ns - episode.opened_ns) / NS_PER_SECOND
    is_in_time = after_s <= settings.recovery_seconds
    if episode.recovery_s is None and is_in_time and has_recovered(x, episode.x, episode.baseline):
        episode.recovery_s = after_s


def _move_bps(state: AnomalyState, event: FactorEvent) -> float | None:
    """How far the mid moved in the last second; null where it was not known then."""
    before, after = state.mids.before(event.received_ns - NS_PER_SECOND), event.values[MID]
    known: Any = before and after
    return 1e4 * log(after / before) if known else None  # type: ignore[operator] # both are above 0
