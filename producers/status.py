"""What `obflow status` shows of the feeds: the newest word of each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from obflow.settings import Settings
from obflow.status.table import Row, StatusTable
from producers.checks import FeedLook, newest_feeds
from schemas.messages import InstrumentKey
from schemas.units import NS_PER_MS

COLUMNS: Final = ("instrument", "source", "state", "reason", "state_s", "heard_s", "detail")


def feed_section(settings: Settings) -> list[StatusTable]:
    """Every feed that is or was there, replays apart."""
    feeds = newest_feeds(settings)
    rows = feed_rows(feeds, time.time_ns() // NS_PER_MS)
    return [
        StatusTable("feeds", 20, COLUMNS, tuple(rows), key=2, note="" if rows else "no producer has said anything yet")
    ]


def feed_rows(feeds: Mapping[InstrumentKey, FeedLook], now_ms: int) -> Iterable[Row]:
    """A row a feed: what its producer said last, for how long it says so, and how long ago.

    Args:
        feeds: By instrument.
        now_ms: The broker's time, ms UTC.
    """
    return [
        (
            str(instrument),
            feed.status.source.value,
            feed.status.state.value,
            feed.status.reason.value if feed.status.reason else None,
            round(max(0, now_ms - feed.since_ms) / 1000, 1),
            round(max(0, now_ms - feed.written_ms) / 1000, 1),
            feed.status.detail or None,
        )
        for instrument, feed in sorted(feeds.items())
    ]
