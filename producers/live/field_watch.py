"""Looks at some of a venue's frames for fields that are new, missing or always zero, and says each once."""

from __future__ import annotations

import structlog

from obflow.metrics import Metrics
from producers.contract import Exchange
from producers.shapes import ShapeSentinel

FIRST_FRAMES = 500
"""So many are looked at one by one, since most changes stand in them …"""
EVERY = 100
"""… and then one of so many: a look costs 11 to 26 µs."""

log = structlog.get_logger(__name__)


class FieldWatch:
    """The fields of one venue's frames.

    Args:
        exchange: The venue.
        metrics: Where changes are counted.
    """

    def __init__(self, exchange: Exchange, metrics: Metrics) -> None:
        self._venue = exchange.venue
        self._metrics = metrics
        self._sentinel = ShapeSentinel(exchange.shapes)

    def came(self, raw: bytes, number: int) -> None:
        """Look at a frame, the so-many-th, if it is its turn."""
        if number > FIRST_FRAMES and number % EVERY:
            return
        for kind, field, change in self._sentinel.look(raw):
            log.warning("frame_field", venue=self._venue, kind=kind, field=field, change=change.value)

    def publish(self) -> None:
        """Bring the metrics up to what was counted."""
        for (kind, field, change), count in self._sentinel.counts.items():
            labels = {"venue": self._venue, "field": f"{kind}:{field}", "change": change.value}
            self._metrics.raise_to("obflow_frame_fields_total", count, **labels)
