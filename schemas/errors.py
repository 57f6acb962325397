"""Every error obflow raises on purpose; those of one module's own business stand in it, and are named below the tree.

    PipelineError                    attributes first; the sentence is rendered from them
    ├─ MessageError                  one bad message: count it, dead-letter it, go on
    │  ├─ DecodeError                bytes that are not what the channel carries
    │  ├─ UnknownMessage             well-formed, but of no kind this channel has
    │  ├─ UnknownSymbol              an instrument nobody subscribed to
    │  ├─ InvalidNumber              not a plain decimal, negative, not finite, beyond int64 or what a book can follow
    │  ├─ FrameTooLarge              refused before it is parsed, or more levels than a record may hold
    │  ├─ ImpossibleRecord           decodes, but has a value it may not have or breaks the record's own rules
    │  ├─ ForeignRecord              not from here: in another's partition, or naming a place that no log has
    │  └─ Unprocessable              handling it failed in a way that nobody foresaw
    ├─ Backpressure                  somebody is full: pause, retry
    └─ FatalError                    stop with a sentence and an exit code
       ├─ UsageError                 exit 2: the caller's words are off
       │  └─ SettingsError
       ├─ SchemaMismatch             exit 1: a record and its schema disagree
       ├─ TopicMismatch              exit 1: the broker's topics differ from the declaration
       ├─ DeliveryFailed             exit 1: a record was not acknowledged; nothing later may leave
       └─ DependencyError            exit 3: something obflow needs is missing or does not answer
          ├─ BrokerUnreachable
          │  └─ BrokerRefused     it is there, and does not let these settings in
          ├─ StoreUnreachable
          └─ ExchangeUnreachable

Local errors:
    Stalled, LogReplaced               of a worker that reads a log (FatalError); LogWidened is a LogReplaced
    TableGone                          of a sink whose table was dropped (SchemaMismatch)
    LogAnew                            of a sink whose topic was made anew (TopicMismatch)
    InvalidVerdict                     a language model's answer that is no verdict (MessageError)
    InsertError                        an insert that failed (PipelineError), and below it InsertBusy, InsertUnanswered,
                                       InsertRejected, InsertPoisoned, InsertFenced
    ClaimLost                          of a sink whose partitions another has claimed (FatalError)
    QueryFailed                        a query that failed (FatalError)
    ChildFailed                        a process of the embedded default that did not start (FatalError)
    RequestRefused                     a venue will not serve a request, asked again or not (ExchangeUnreachable)
    SubscriptionRefused                a venue will not send some instruments on a connection (ExchangeUnreachable)
    TooManyRequests                    a venue refuses what is said on a connection for how often (SubscriptionRefused)
    EmptyRecording                     a recording without an instrument of its venue (UsageError)
    LoginRefused                       a venue refuses the credentials of a connection (ExchangeUnreachable)
    QueryRefused                       a statement that the embedded engine may not run (PipelineError)

A dead letter carries the class name as its reason, so these names are part of the contract. A book that can no longer
be trusted is no error but an outcome: `orderbook.validity` judges it, and `Reason` says why.
"""

from __future__ import annotations

from typing import ClassVar

from schemas.masking import mask_credentials

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DEPENDENCY = 3


class PipelineError(Exception):
    """Base of every error obflow raises on purpose. It names addresses, and never the credentials in them.

    Args:
        cause: What is wrong, as a sentence without a full stop.
        next_step: What the reader can do about it, or nothing.
        context: Where it happened (venue, symbol, topic, partition, offset …), kept as attributes.
    """

    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, cause: str, *, next_step: str = "", **context: object) -> None:
        self.cause = mask_credentials(cause)
        super().__init__(self.cause)
        self.next_step = mask_credentials(next_step)
        self.context = {
            name: mask_credentials(value) if type(value) is str else value for name, value in context.items()
        }

    @property
    def reason(self) -> str:
        """The class name: the label of counters and dead letters."""
        return type(self).__name__

    def __str__(self) -> str:
        where = ", ".join(f"{name}={value}" for name, value in self.context.items())
        sentence = f"{self.cause} ({where})" if where else self.cause
        return f"{sentence}: {self.next_step}" if self.next_step else sentence


class MessageError(PipelineError):
    """One message is bad. It is counted and dead-lettered; the stream goes on."""


class DecodeError(MessageError):
    """The bytes are not what the channel carries (not JSON, not Avro, cut short)."""


class UnknownMessage(MessageError):
    """Well-formed, but of no kind this channel is known to carry."""


class UnknownSymbol(MessageError):
    """The message names an instrument that was not subscribed to."""


class InvalidNumber(MessageError):
    """A price or size that is not a plain decimal, is negative, not finite, beyond int64, or too fine for its book."""


class FrameTooLarge(MessageError):
    """The frame exceeds the size limit and was refused before it was parsed, or holds more levels than a record may."""


class ImpossibleRecord(MessageError):
    """The record decodes but has a value it may not have, or breaks its own rules (a snapshot with trades …)."""


class ForeignRecord(MessageError):
    """The record is not from here: it lies in another instrument's partition, or names a place that no log has."""


class Unprocessable(MessageError):
    """Handling the record failed in a way that nobody foresaw; the role's log has the traceback."""


class Backpressure(PipelineError):
    """Somebody downstream is full. Pause and retry.

    Args:
        cause: What is full.
        retry_after_s: How long to wait before the next try, seconds.
        context: As in PipelineError.
    """

    def __init__(self, cause: str, *, retry_after_s: float = 1.0, **context: object) -> None:
        super().__init__(cause, next_step=f"retrying in {retry_after_s} s", **context)
        self.retry_after_s = retry_after_s


class FatalError(PipelineError):
    """The process cannot go on. It stops with this sentence and `exit_code`."""


class UsageError(FatalError):
    """The caller's words are off."""

    exit_code = EXIT_USAGE


class SettingsError(UsageError):
    """A setting is unknown or its value is not acceptable."""


class SchemaMismatch(FatalError):
    """A record and the schema it claims disagree."""


class TopicMismatch(FatalError):
    """The broker's topics differ from the declaration in a way that cannot be mended in place."""


class DeliveryFailed(FatalError):
    """A record was not acknowledged. No later record of its partition may leave before it."""


class DependencyError(FatalError):
    """Something obflow needs is missing or does not answer."""

    exit_code = EXIT_DEPENDENCY


class BrokerUnreachable(DependencyError):
    """No Kafka broker answers at the address."""


class BrokerRefused(BrokerUnreachable):
    """A Kafka broker is there, and these settings do not get in: a login, a certificate or the protocol is off."""


class StoreUnreachable(DependencyError):
    """No ClickHouse answers at the address."""


class ExchangeUnreachable(DependencyError):
    """The exchange does not answer."""
