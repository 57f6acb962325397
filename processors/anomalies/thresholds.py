"""What makes an episode begin and end, and the version that names it."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from schemas.units import NS_PER_SECOND

ANOMALIES_VERSION: Final = "n1"
"""Rises when the meaning of an anomaly changes; a changed threshold changes the digest behind it."""


class AnomalyThresholds(msgspec.Struct, frozen=True):
    """Thresholds of the anomalies. Defaults and meanings stand in the settings, section `anomalies`, by these names."""

    half_life_seconds: float
    warmup_seconds: float
    shift_z: float
    shift_share: float
    shift_floor: float
    shift_held_seconds: float
    rearm_z: float
    recovery_seconds: float
    status_held_seconds: float

    @property
    def half_life_ns(self) -> float:
        """Half-life of the baseline."""
        return self.half_life_seconds * NS_PER_SECOND


class LevelThresholds(msgspec.Struct, frozen=True):
    """Thresholds of what books show. Defaults and meanings stand in the settings, section `levels`, by these names."""

    half_life_seconds: float
    warmup_seconds: float
    spread_ticks: int
    spread_multiple: float
    spread_held_seconds: float
    near_bps: int
    order_share: float
    order_live_seconds: float
    order_left_share: float
    order_watched_seconds: float
    order_least_seconds: float
    order_full_share: float
    order_cancelled_share: float
    order_full_move_bps: float
    order_full_flow: float
    order_score: float


def level_thresholds(options: object) -> LevelThresholds:
    """Take the thresholds from the settings' section."""
    return msgspec.convert(options, LevelThresholds, from_attributes=True)


def anomaly_thresholds(options: object) -> AnomalyThresholds:
    """Take the thresholds from the settings' section."""
    return msgspec.convert(options, AnomalyThresholds, from_attributes=True)


def version_of(thresholds: msgspec.Struct) -> str:
    """Version of the anomalies and digest of their thresholds, as it stands in events."""
    return f"{ANOMALIES_VERSION}-{hashlib.sha256(msgspec.json.encode(thresholds)).hexdigest()[:8]}"
