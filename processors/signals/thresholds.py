"""What a signal needs to open and to stay, and the version that names it."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from processors.derived.fees import FeeTable
from schemas.errors import UsageError
from schemas.factors import FACTOR_INDEX
from schemas.messages import SignalKind
from schemas.units import NS_PER_MS, NS_PER_SECOND

SIGNALS_VERSION: Final = "s1"
"""Rises when the meaning of a signal changes; a changed threshold, fee or slope changes the digest behind it."""


class SignalThresholds(msgspec.Struct, frozen=True):
    """Thresholds of the signals. Defaults and meanings stand in the settings, section `signals`, by these names."""

    half_life_seconds: float
    warmup_seconds: float
    imbalance_enter: float
    imbalance_sd_floor: float
    flow_enter: float
    flow_sd_floor: float
    classic_enter: float
    leave: float
    trend_seconds: float
    trend_before_seconds: float
    need_trend: bool
    horizon_seconds: float
    cooldown_seconds: float
    latency_ms: float
    slopes: str

    @property
    def half_life_ns(self) -> float:
        """Half-life of the baseline."""
        return self.half_life_seconds * NS_PER_SECOND

    @property
    def warmup_ns(self) -> float:
        """Time observed before there is a z."""
        return self.warmup_seconds * NS_PER_SECOND

    @property
    def trend_ns(self) -> int:
        """Length of the trend's newer part."""
        return round(self.trend_seconds * NS_PER_SECOND)

    @property
    def trail_ns(self) -> int:
        """Length of both parts of the trend."""
        return self.trend_ns + round(self.trend_before_seconds * NS_PER_SECOND)

    @property
    def horizon_ns(self) -> int:
        """Longest time a signal stays open, and the time its forecast is about."""
        return round(self.horizon_seconds * NS_PER_SECOND)

    @property
    def cooldown_ns(self) -> int:
        """Least time from a close to the next opening."""
        return round(self.cooldown_seconds * NS_PER_SECOND)

    @property
    def latency_ns(self) -> int:
        """Time from an opening to the mid that its forecast starts from."""
        return round(self.latency_ms * NS_PER_MS)


class KindRules(NamedTuple):
    """What differs between kinds of signals.

    Attributes:
        factor: Index of the factor judged.
        z_factor: Index of the factor that already is its z; null where z is made of a baseline here.
        enter: |z| from which a signal opens.
        sd_floor: Least standard deviation of the baseline.
    """

    factor: int
    z_factor: int | None
    enter: float
    sd_floor: float


def kind_rules(settings: SignalThresholds) -> dict[SignalKind, KindRules]:
    """The rules of each kind, in the order in which they are judged."""
    obi_l5, flow, obi_l1, z = (FACTOR_INDEX[name] for name in ("obi_l5", "ofi_l1_1s", "obi_l1", "obi_l1_z"))
    return {
        SignalKind.IMBALANCE: KindRules(obi_l5, None, settings.imbalance_enter, settings.imbalance_sd_floor),
        SignalKind.FLOW: KindRules(flow, None, settings.flow_enter, settings.flow_sd_floor),
        SignalKind.CLASSIC: KindRules(obi_l1, z, settings.classic_enter, 0.0),
    }


def signal_thresholds(options: object) -> SignalThresholds:
    """Take the thresholds from the settings' section.

    Raises:
        UsageError: A signal would be left where it is entered.
    """
    settings = msgspec.convert(options, SignalThresholds, from_attributes=True)
    for kind in SignalKind:
        enter = getattr(settings, f"{kind.value}_enter")
        if settings.leave >= enter:
            raise UsageError(f"signals.leave ({settings.leave:g}) is not below signals.{kind.value}_enter ({enter:g})")
    return settings


def slopes_of(text: str) -> dict[tuple[str, str, SignalKind], float]:
    """Read fitted slopes: rows `venue symbol kind bps_per_z`, separated by semicolons.

    Raises:
        UsageError: A row is none.
    """
    found = {}
    for row in (line.split() for line in text.split(";") if line.strip()):
        try:
            venue, symbol, kind, slope = row
            found[venue, symbol, SignalKind(kind)] = float(slope)
        except ValueError as error:
            raise UsageError(f"signals.slopes has a row that is none: {' '.join(row)!r} ({error})") from None
    return found


def signal_set(settings: SignalThresholds, fees: FeeTable) -> str:
    """Version of the signals and digest of all they depend on, as it stands in events."""
    settled = (settings, fees.text, fees.tier)
    return f"{SIGNALS_VERSION}-{hashlib.sha256(msgspec.json.encode(settled)).hexdigest()[:8]}"
