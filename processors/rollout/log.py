"""The rollout as its log says it is: the state that holds, and what was asked for by hand and not answered yet."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.rollouts import RolloutRecord


class RolloutLog:
    """Reads records in the order of the log.

    Of each step the first record counts: whoever controlled the rollout and was overtaken in the meantime changes
    nothing with what he still sends.

    Attributes:
        state: The one that holds; none where nothing was decided yet.
        request: The newest that was not answered; none where none waits.
    """

    def __init__(self, records: Iterable[RolloutRecord] = ()) -> None:
        self.state: RolloutRecord | None = None
        self.request: RolloutRecord | None = None
        for record in records:
            self.take(record)

    def take(self, record: RolloutRecord) -> bool:
        """Take the next record; gives whether the state is another now."""
        if record.action is not None:
            is_answered = self.state is not None and self.state.request_id == record.request_id
            self.request = self.request if is_answered else record
            return False
        if self.state is not None and record.step <= self.state.step:
            return False
        self.state = record
        if self.request is not None and self.request.request_id == record.request_id:
            self.request = None
        return True
