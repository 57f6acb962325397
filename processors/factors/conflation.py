"""Which events of a step are sent where a worker is late: the rest is withheld, and counted."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.messages import Status


def newest_of_each_status(statuses: Sequence[Status]) -> list[int]:
    """Give the places of the last event of each stretch of one status: the newest event is one of them.

    So whoever reads learns of every book that broke or came back, and at which event it did.
    """
    after = [*statuses[1:], None]
    return [place for place, status in enumerate(statuses) if status is not after[place]]
