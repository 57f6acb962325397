"""The regimes agent: batches of factor records in, the rules' judgements of closed windows out, at once, in order."""

from __future__ import annotations

import time

import msgspec

from obflow.settings import Settings
from obflow.topics import topic_name
from processors.agents.partitions import PartitionsAgent, Ties, give_way
from processors.meters import WorkerMeters
from processors.outbox import Send
from processors.reading import SourceBatch
from processors.regimes.partition import Asker, Judged, PartitionRegimes
from processors.regimes.rules import RuleSettings
from schemas.codec import encode
from schemas.errors import MessageError
from schemas.messages import LlmCall, RegimeEvent
from schemas.topics import LLM_CALLS, REGIMES


class RegimesAgent(PartitionsAgent[PartitionRegimes]):
    """Holds the windows of the partitions this worker has.

    Args:
        settings: `kafka`, `processor` and `regimes` are used.
        ties: What binds it to its application.
        meters: What is counted.
        rules: Thresholds.
        asker: Whoever asks the language model.
    """

    def __init__(self, settings: Settings, ties: Ties, meters: WorkerMeters, rules: RuleSettings, asker: Asker) -> None:
        super().__init__(ties, settings.processor.max_batch_records, meters)
        self._checkpoint_s = settings.regimes.checkpoint_seconds
        self._rules = rules
        self._asker = asker
        self._out = Out(settings, ties)

    def _new(self, partition: int, position: int) -> PartitionRegimes:
        return PartitionRegimes(
            partition,
            position,
            log=self._ties.source,
            load=self._ties.load,
            unreadable=self._on_unreadable,
            rules=self._rules,
            checkpoint_s=self._checkpoint_s,
            passed=lambda why: self._meters.passed_over(why.value, 1),
            asker=self._asker,
        )

    async def _process(self, held: PartitionRegimes, batch: SourceBatch) -> None:
        for source in batch.records:
            await self._ties.outbox.room()
            if not self._may_process(batch):
                return
            # From here to the last put nothing awaits: what changed a window is on its way out before anything else
            # can happen, a rebalance included.
            try:
                for judged in held.process(source, time.monotonic()):
                    self._out.rule_event(batch.partition, source.offset, judged)
            except MessageError as error:
                self._send_letter(held.letter(source, error))
            held.progress.advance(source.offset + 1)
            await give_way()
        held.progress.advance(batch.end)


class Out:
    """Where events and calls leave: to the partition their instrument has everywhere.

    Args:
        settings: `kafka` is used.
        ties: What binds a worker to its application.
    """

    def __init__(self, settings: Settings, ties: Ties) -> None:
        self._ties = ties
        self._regimes = topic_name(settings, REGIMES)
        self._calls = topic_name(settings, LLM_CALLS)

    def rule_event(self, partition: int, offset: int, judged: Judged) -> None:
        """Send the rules' event; the record that closed its window is not committed before it is acknowledged."""
        send = self._as_send(self._regimes, partition, judged.event)
        whole = msgspec.structs.replace(send, source_offset=offset, received_ns=judged.received_ns, is_result=True)
        self._ties.outbox.put(whole)

    def llm_event(self, partition: int, event: RegimeEvent) -> None:
        """Send the model's event."""
        self._ties.outbox.put(self._as_send(self._regimes, partition, event))

    def call(self, partition: int, call: LlmCall) -> None:
        """Send a call's row."""
        self._ties.outbox.put(self._as_send(self._calls, partition, call))

    def _as_send(self, topic: str, partition: int, record: RegimeEvent | LlmCall) -> Send:
        key, value = str(record.instrument).encode(), encode(record)
        return Send(topic, key, value, partition, source_partition=partition, source_offset=None)
