"""stale: depth of an instrument fell silent, as its producer tells: an episode from that word to the next other one.

Whether a feed is stale only its producer knows: a reader of a log cannot tell a quiet market from a dead connection.
"""

from __future__ import annotations

import msgspec

from schemas.messages import (
    AnomalyAction,
    AnomalyEvent,
    AnomalyKind,
    AnomalyReason,
    FeedState,
    FeedStatus,
    Source,
)
from schemas.units import NS_PER_MS

Place = tuple[str, int, int]
"""Log, partition and offset of a record."""


class StaleEpisode(msgspec.Struct):
    """An open episode: when it began, and the status that said so. Serialisable as it stands."""

    opened_ns: int
    opened_offset: int


class StaleState(msgspec.Struct):
    """Open episodes of one instrument, by the source of its frames. Serialisable as it stands."""

    episodes: dict[Source, StaleEpisode] = {}


def take_status(state: StaleState, status: FeedStatus, place: Place, version: str) -> AnomalyEvent | None:
    """Take a status, and return the record of the episode that it begins or ends.

    A heartbeat says the state, too, so that an episode is found even where the word that began it was lost.

    Args:
        state: The instrument's; changed in place.
        status: The next one.
        place: Where it lies.
        version: Of the anomalies.
    """
    episode, is_stale = state.episodes.get(status.source), status.state is FeedState.STALE
    if is_stale and episode is None:
        state.episodes[status.source] = StaleEpisode(status.received_ns, place[2])
        return _event(status, place, version, None)
    if episode is not None and not is_stale:
        del state.episodes[status.source]
        return _event(status, place, version, episode)
    return None


def _event(status: FeedStatus, place: Place, version: str, ended: StaleEpisode | None) -> AnomalyEvent:
    is_live, opened = status.state is FeedState.LIVE, ended or StaleEpisode(status.received_ns, place[2])
    return AnomalyEvent(
        venue=status.venue,
        symbol=status.symbol,
        feed_source=status.source,
        kind=AnomalyKind.STALE,
        action=AnomalyAction.CLOSE if ended else AnomalyAction.OPEN,
        reason=(AnomalyReason.ENDED if is_live else AnomalyReason.BROKEN) if ended else AnomalyReason.BEGAN,
        received_ns=status.received_ns,
        decided_ns=status.received_ns,
        anomaly_set=version,
        source_log=place[0],
        source_partition=place[1],
        source_offset=place[2],
        first_offset=opened.opened_offset,
        opened_offset=opened.opened_offset if ended else None,
        lasted_ms=max(0, status.received_ns - opened.opened_ns) / NS_PER_MS if ended else None,
        run=status.run,
    )
