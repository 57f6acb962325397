"""What "the same regimes" means for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from schemas.messages import RegimeEvent


def regime_digest(events: Iterable[RegimeEvent]) -> str:
    """Digest of one instrument's rule events, in order of their windows: what was judged, not where it lies."""
    whole = hashlib.sha256()
    for event in events:
        whole.update(_regime_bytes(event))
    return whole.hexdigest()


def _regime_bytes(event: RegimeEvent) -> bytes:
    # MessagePack writes every float as its 64 bits and every integer in one way, so equal values are equal bytes.
    judged = (event.window_start_ns, event.window_end_ns, event.label.value, event.score, event.rule_set)
    scores = (event.direction, event.lean, event.variance_ratio, event.change)
    window = (event.events, event.usable_events, event.whole, event.mid, event.return_bps, event.imbalance)
    flows = (event.order_flow, event.depth, event.spread_bps, event.realised_variance)
    last = (event.obi_l1_last, event.obi_l5_last, event.ofi_l1_1s_last)
    # Added where there were trades alone, so that digests from before these were known stay as they are.
    traded = () if event.trade_flow is None else ((event.trade_flow, event.trade_volume),)
    return msgspec.msgpack.encode((judged, scores, window, flows, last, *traded))
