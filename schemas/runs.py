"""What a run is called: one life of a producer, or one replay of a recording, told apart in every record and row.

Names sort by start within a venue, hold nothing of the machine they were made on, and are texts that any query can
compare: `live/binance-futures/1767225600000000000/00c0ffee`.
"""

from __future__ import annotations

from typing import Final

from schemas.messages import Source

DIGEST_CHARACTERS: Final = 16
"""First characters of a recording's SHA-256 that its runs carry."""
TOKEN_CHARACTERS: Final = 8
REPLAY_PARTS: Final = 5


def producer_run(source: Source, venue: str, started_ns: int, token: str) -> str:
    """Name the run of a live producer.

    Args:
        source: What its records say: live or simulator.
        venue: Exchange id.
        started_ns: When it started, ns UTC.
        token: Of this process alone; its last 8 characters count.
    """
    return f"{source.value}/{venue}/{started_ns}/{token[-TOKEN_CHARACTERS:]}"


def replay_run(venue: str, digest: str, first_ns: int, last_ns: int, started_ns: int) -> str:
    """Name a replay of a recording.

    Args:
        venue: Exchange id.
        digest: SHA-256 of the recording's file, hexadecimal.
        first_ns: Received time of the recording's first line, ns UTC.
        last_ns: The same of its last line.
        started_ns: When it started, ns UTC.
    """
    return f"replay/{venue}/{started_ns}/{digest[:DIGEST_CHARACTERS]}/{first_ns}-{last_ns}"


def digest_of_run(run: str) -> str:
    """What a run's name has of its recording's digest; empty for a run that is no replay.

    Args:
        run: Name of a run.
    """
    parts = run.split("/")
    return parts[3] if len(parts) == REPLAY_PARTS and parts[0] == Source.REPLAY.value else ""
