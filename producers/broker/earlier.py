"""What these topics and tables hold from before: the same recording, or an instrument from another source.

Asked before anything is published. The tables are asked where a database answers; the log of statuses always.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Any, Final

import structlog

from obflow import clickhouse
from obflow.settings import Settings
from obflow.topics import topic_name
from obflow.whole_log import read_tail
from producers.settings import ProducerSettings
from schemas.codec import decode_as
from schemas.errors import MessageError, PipelineError, UsageError
from schemas.messages import FeedStatus, Source
from schemas.runs import digest_of_run
from schemas.topics import FEED_STATUS

LAST_RECORDS: Final = 5_000
"""Statuses read of each partition."""
RUNS: Final = "SELECT DISTINCT run FROM runs WHERE source = 'replay'"
DROPPED: Final = "SELECT DISTINCT run FROM dropped_runs"
SOURCES: Final = (
    "SELECT DISTINCT symbol, source FROM runs WHERE venue = {venue:String} AND source IN {sources:Array(String)}"
)
OTHERS: Final = {Source.LIVE: Source.SIMULATOR, Source.SIMULATOR: Source.LIVE}
"""What must not be mixed with what a producer writes."""

log = structlog.get_logger(__name__)


def refuse_replayed(settings: Settings, digests: Collection[str]) -> None:
    """Make sure that no recording was replayed into these topics, or into the tables, before.

    Args:
        settings: `kafka` and `clickhouse` are used.
        digests: SHA-256 of each file, hexadecimal.

    Raises:
        UsageError: One was.
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """
    stored, dropped = ({run for (run,) in rows} for rows in _ask(settings, RUNS, DROPPED))
    logged = {status.run for status in _statuses(settings) if status.source is Source.REPLAY} - dropped
    for where, runs in (("stored", stored), ("on the log", logged)):
        known = {run: digest for run in runs if (digest := digest_of_run(run))}
        for run in sorted(run for run, digest in known.items() if any(one.startswith(digest) for one in digests)):
            raise UsageError(
                f"this recording is {where} already, as the run {run}",
                next_step="leave it at that, or replay it with --again: views then count the newest run alone",
            )


def refuse_other_source(settings: Settings, venue: str, symbols: Collection[str]) -> None:
    """Make sure that these topics and tables hold nothing simulated of instruments that are live, or the other way.

    Args:
        settings: `kafka`, `clickhouse` and `producer` are used.
        venue: The venue.
        symbols: What is to be produced.

    Raises:
        UsageError: They do, and `producer.beside_other_sources` is not set.
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """
    chosen = settings.of(ProducerSettings)
    other = OTHERS.get(Source(chosen.source))
    if other is None or chosen.beside_other_sources:
        return
    [stored] = _ask(settings, SOURCES, venue=venue, sources=[other.value])
    logged = {status.symbol for status in _statuses(settings) if (status.venue, status.source) == (venue, other)}
    places = (("tables", {symbol for symbol, _ in stored}), ("topics", logged))
    for where, found in places:
        if both := sorted(found & set(symbols)):
            named = ", ".join(both[:5])
            raise UsageError(
                f"these {where} hold {named} of {venue} from the source {other}, and this producer is {chosen.source}",
                next_step="set kafka.topic_prefix and clickhouse.database to others, or producer.beside_other_sources "
                "to true where both belong together",
            )


def _ask(settings: Settings, *statements: str, **parameters: object) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement; none where no database can be asked, or has no such tables."""
    try:
        with closing(clickhouse.connect(settings.clickhouse, readonly=True)) as client:
            return [list(client.query(one, parameters=dict(parameters)).result_rows) for one in statements]
    except (PipelineError, clickhouse.ClickHouseError, OSError) as error:
        log.debug("tables_not_asked", reason=type(error).__name__)
        return [[] for _ in statements]


def _statuses(settings: Settings) -> Iterator[FeedStatus]:
    for logged in read_tail(settings, topic_name(settings, FEED_STATUS), LAST_RECORDS):
        try:
            yield decode_as(FeedStatus, logged.value)
        except MessageError:
            continue  # a sink reads this topic too, and dead-letters that
