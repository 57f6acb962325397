"""Which instruments come first: a share of them that only grows, the same wherever it is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

EXPERIMENT: Final = "regimes"
UNITS: Final = 2**64


def share_of(instrument: str, salt: str, experiment: str = EXPERIMENT) -> float:
    """Where an instrument stands, in [0, 1): evenly spread, and of no kin to its name.

    Args:
        instrument: `venue:symbol`.
        salt: Another one is another order.
        experiment: What is rolled out.
    """
    digest = hashlib.blake2b(f"{salt}|{experiment}|{instrument}".encode()).digest()
    return int.from_bytes(digest[:8]) / UNITS


def canary_of(instruments: Iterable[str], percent: int, salt: str, before: Iterable[str] = ()) -> list[str]:
    """The instruments for which the candidate comes in force, in order of their names.

    Args:
        instruments: Those that are active.
        percent: Of them; where that is more than 0 and nobody's share lies below it, the one with the least.
        salt: As of `share_of`.
        before: Those for which it is in force: a share that grows takes nobody out.
    """
    shares = {one: share_of(one, salt) for one in instruments}
    found = {one for one, share in shares.items() if share < percent / 100}
    kept = set(before) if percent else set()
    if not found and not kept and percent and shares:
        found = {min(shares, key=lambda one: (shares[one], one))}
    return sorted(found | kept)
