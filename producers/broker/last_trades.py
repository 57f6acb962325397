"""Trades that the log has already: a venue sends its last ones again to a producer that starts.

Read back from the log, which is what readers have: a trade that was never acknowledged is not on it, and is published.
What is read is bounded, whatever the log holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from obflow import kafka_logs
from obflow.settings import Settings
from obflow.topics import topic_name
from obflow.whole_log import read_tail
from producers.books.seen_trades import REMEMBERED, KnownTrades
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.messages import InstrumentKey, Source, TradeRecord
from schemas.partitions import partition_of
from schemas.places import check_partition
from schemas.topics import TRADES

LAST_RECORDS: Final = 5_000
"""Trades read of each partition that one of the instruments lies in."""


def last_trades(settings: Settings, venue: str, source: Source, symbols: Collection[str]) -> list[KnownTrades]:
    """Read the ids of the newest trades of these instruments, where the end of the log has any.

    Args:
        settings: `kafka` is used.
        venue: The venue.
        source: Where they come from: a replay's trades are no producer's.
        symbols: The instruments.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
        FatalError: It gave no record for half a minute.
    """
    topic = topic_name(settings, TRADES)
    count = len(kafka_logs.end_offsets(settings, [topic]))
    homes = {partition_of(str(InstrumentKey(venue, symbol)), count) for symbol in symbols}
    found: dict[str, deque[str]] = {symbol: deque(maxlen=REMEMBERED) for symbol in symbols}
    for logged in read_tail(settings, topic, LAST_RECORDS, homes):
        try:
            trade = decode_as(TradeRecord, logged.value)
            check_partition(InstrumentKey(trade.venue, trade.symbol), logged.partition, count)
        except MessageError:
            continue  # a sink reads this topic too, and dead-letters that
        if trade.venue == venue and trade.source is source and trade.symbol in found:
            found[trade.symbol].append(trade.trade_id)
    return [KnownTrades(symbol, list(ids)) for symbol, ids in found.items() if ids]
