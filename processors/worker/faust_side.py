"""What a worker's parts ask of Faust, whose application is made last, around them."""

from __future__ import annotations

from typing import Any

from processors.worker.cut import SourceBatch
from processors.worker.transport import BatchApp


class FaustSide:
    """The application and its table, for parts that are made before them and ask them later.

    Attributes:
        app: The application.
        table: Its table of checkpoints.
    """

    app: BatchApp
    table: Any  # Faust's

    def bind(self, app: BatchApp, table: Any) -> None:  # noqa: ANN401 (Faust's)
        """Take what was made; nothing is asked before."""
        self.app, self.table = app, table

    def producer(self) -> Any:  # noqa: ANN401 (an untyped library object)
        """Give the producer underneath, once it has started."""
        return self.app.producer._producer

    def load(self, key: str) -> bytes | None:
        """Give the newest checkpoint of a key, if there is one."""
        found: bytes | None = self.table.data.get(key.encode())
        return found

    def was_refused(self, key: str) -> bool:
        """Tell whether what the changelog holds of a key was refused."""
        return bool(self.table.data.was_refused(key.encode()))

    def is_whole(self, partition: int) -> bool:
        """Tell whether the changelog of a partition still has all that it ever took."""
        return bool(self.table.data.is_whole(partition))

    def changelog_id(self) -> str:
        """Tell which changelog it is, as far as that is known."""
        return str(self.table.data.changelog_id)

    def seek_back(self, partition: int, offset: int) -> None:
        """Have a partition read again from an offset."""
        self.app.consumer.seek_back(partition, offset)

    def withdraw(self, partition: int, offset: int) -> None:
        """Have a partition read again from an offset, and committed there before."""
        self.app.consumer.withdraw(partition, offset)

    def is_current(self, batch: SourceBatch) -> bool:
        """Tell whether a batch is neither stale nor of a partition that was given up."""
        return bool(self.app.consumer.is_current(batch))

    def note_saved(self, key: bytes, payload: bytes, sent: Any) -> None:  # noqa: ANN401 (Kafka's metadata)
        """Note a checkpoint that the broker has."""
        self.table.data.record_saved(key, payload, sent.topic_partition, sent.offset)
