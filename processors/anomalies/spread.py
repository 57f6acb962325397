"""wide_spread: the spread is several times what it was, and several ticks, and stays so.

Its baseline is a mean by time, plain at first, like that of the depth. Ticks are the book's own: factors do not carry
them, so this is judged where the book is.
"""

from __future__ import annotations

import msgspec

from processors.anomalies.episodes import Episode, Lasting
from processors.anomalies.liquidity import DepthBaseline
from processors.anomalies.thresholds import LevelThresholds
from schemas.messages import AnomalyReason
from schemas.units import NS_PER_SECOND


class SpreadMemory(msgspec.Struct):
    """What the spread of one book was. Serialisable as it stands.

    Attributes:
        was: Its baseline, ticks.
        lasting: Since when it is wide.
        episode: The open one; null where there is none.
    """

    was: DepthBaseline = msgspec.field(default_factory=DepthBaseline)
    lasting: Lasting = msgspec.field(default_factory=Lasting)
    episode: Episode | None = None


class SpreadStep(msgspec.Struct, frozen=True):
    """An episode of a wide spread begins or ends.

    Attributes:
        reason: Why; BEGAN opens, all others close.
        episode: It.
        spread_ticks, baseline: What was judged and what it was judged against; null where the book broke.
    """

    reason: AnomalyReason
    episode: Episode
    spread_ticks: int | None = None
    baseline: float | None = None


def take_spread(
    memory: SpreadMemory, spread_ticks: int | None, at_ns: int, offset: int, settings: LevelThresholds
) -> SpreadStep | None:
    """Take the spread after a record, and return the episode that it begins or ends.

    Args:
        memory: What the spread was; changed in place.
        spread_ticks: It; null where the book has none, which ends no episode and begins none.
        at_ns: When the record was received.
        offset: Its own.
        settings: Thresholds.
    """
    memory.was.advance(at_ns, settings.half_life_seconds * NS_PER_SECOND)
    mean, is_warm = memory.was.mean, memory.was.observed_ns >= settings.warmup_seconds * NS_PER_SECOND
    is_wide = spread_ticks is not None and is_warm and is_wide_spread(spread_ticks, mean, settings)
    held_s = memory.lasting.note(at_ns, offset, holds=is_wide)
    memory.was.hold(None if spread_ticks is None else float(spread_ticks))
    if memory.episode is None and is_wide and held_s >= settings.spread_held_seconds:
        memory.episode = Episode(at_ns, offset, memory.lasting.offset)
        return SpreadStep(AnomalyReason.BEGAN, memory.episode, spread_ticks, mean)
    if memory.episode is not None and spread_ticks is not None and not is_wide:
        ended, memory.episode = memory.episode, None
        return SpreadStep(AnomalyReason.ENDED, ended, spread_ticks, mean)
    return None


def is_wide_spread(spread_ticks: int, mean: float, settings: LevelThresholds) -> bool:
    """Whether a spread is so many ticks and so many times its mean."""
    return spread_ticks >= max(settings.spread_ticks, settings.spread_multiple * mean)
