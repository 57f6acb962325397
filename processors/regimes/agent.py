"""The regimes agent: batches of factor records in, the rules' judgements of closed windows out, at once, in order."""

from __future__ import annotations

import asyncio
import time

import msgspec

from obflow.log_ends import LogEnds
from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.regimes.partition import Asker, AskFirst, Judged, PartitionRegimes
from processors.regimes.rules import RuleSettings
from processors.worker.admission import ReadAgain
from processors.worker.agent import PartitionsAgent, Ties, give_way
from processors.worker.cut import SourceBatch, SourceRecord
from processors.worker.meters import WorkerMeters
from processors.worker.outbox import Send
from schemas.codec import encode
from schemas.errors import DependencyError, MessageError
from schemas.messages import LlmCall, RegimeEvent
from schemas.topics import L2, LLM_CALLS, REGIMES

ASK_AGAIN_SECONDS = 1.0
log = get_logger(__name__)


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
        self._book_log = LogEnds(settings, L2)

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
            book_log=self._book_log,
        )

    async def _process(self, held: PartitionRegimes, batch: SourceBatch) -> None:
        self._book_log.expire()
        for source in batch.records:
            try:
                if not await self._taken(held, batch, source):
                    return
            except ReadAgain as again:
                self._read_again(batch, again.offset, again.__cause__)
                return
            held.progress.advance(source.offset + 1)
            await give_way()
        held.progress.advance(batch.end)

    async def _taken(self, held: PartitionRegimes, batch: SourceBatch, source: SourceRecord) -> bool:
        """Take one record; False where the batch may not be processed any more."""
        while True:
            await self._ties.outbox.room()
            if not self._may_process(batch):
                return False
            try:
                self._take(held, batch.partition, source)
            except AskFirst as ask:
                await self._ask(ask)
            else:
                return True

    def _take(self, held: PartitionRegimes, partition: int, source: SourceRecord) -> None:
        # Nothing awaits: what changed a window is on its way out before anything else can happen, a rebalance included.
        try:
            for judged in held.process(source, time.monotonic()):
                self._out.rule_event(partition, source.offset, judged)
        except MessageError as error:
            self._send_letter(held.letter(source, error))

    async def _ask(self, ask: AskFirst) -> None:
        """Ask how far the books' log goes; again where no broker answers, as long as the watchdog lets that go on."""
        try:
            await asyncio.to_thread(self._book_log.refresh, ask.named)
        except DependencyError as error:
            log.warning("waiting", reason=error.reason, cause=error.cause)
            await asyncio.sleep(ASK_AGAIN_SECONDS)


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
