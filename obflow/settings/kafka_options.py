"""Which of librdkafka's options may be given as `kafka.options`: all but those that carry a promise, and say why.

What an option may do to us is told by its name. Three kinds are refused: those on which a promise of the pipeline
rests, those that have a setting of their own, and those that say how the broker is reached, since the workers' client
(aiokafka) has to be told the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pydantic_core import PydanticCustomError

NAME: Final = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9]+)*")
REACHED: Final = re.compile(r"security\.protocol|(sasl|ssl|https)\..+|enable\.(ssl|sasl)\..+|oauthbearer.*")
ACKNOWLEDGED: Final = "an offset is committed only behind records that every replica has"
COMMITTED: Final = "offsets are committed only behind what is saved"
WHOLE: Final = "a reader begins at the log's start and reads every record once"
GROUPS: Final = "the names of groups are what progress and audits are looked up by"
PROMISES: Final[dict[str, str]] = {
    "partitioner": "the partition of every key depends on it, in both clients",
    "sticky.partitioning.linger.ms": "the partition of every key depends on its partitioner alone",
    **dict.fromkeys(("acks", "request.required.acks", "enable.idempotence"), ACKNOWLEDGED),
    **dict.fromkeys(("enable.gapless.guarantee", "message.send.max.retries", "retries"), ACKNOWLEDGED),
    **dict.fromkeys(("max.in.flight", "max.in.flight.requests.per.connection"), ACKNOWLEDGED),
    "transactional.id": "what is sent is made whole by identities, not by transactions",
    **dict.fromkeys(("enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store"), COMMITTED),
    **dict.fromkeys(("auto.commit.interval.ms", "offset.store.method"), COMMITTED),
    **dict.fromkeys(("auto.offset.reset", "isolation.level", "enable.partition.eof", "check.crcs"), WHOLE),
    **dict.fromkeys(("group.id", "group.instance.id", "group.protocol"), GROUPS),
    "message.max.bytes": "every record that was made has to fit, and the topics are declared for as much",
    "allow.auto.create.topics": "topics are declared in one place",
}
SETTINGS: Final[dict[str, str]] = {
    **dict.fromkeys(("bootstrap.servers", "metadata.broker.list"), "kafka.bootstrap_servers"),
    **dict.fromkeys(("linger.ms", "queue.buffering.max.ms"), "producer.linger_ms"),
    **dict.fromkeys(("compression.type", "compression.codec"), "producer.compression"),
    "queue.buffering.max.messages": "producer.queue_messages",
    "queue.buffering.max.kbytes": "producer.queue_kbytes",
    **dict.fromkeys(("delivery.timeout.ms", "message.timeout.ms"), "producer.delivery_timeout_seconds"),
    **dict.fromkeys(("log.level", "debug"), "log.level"),
}


def as_option(value: object) -> object:
    """The text librdkafka takes for a value of TOML or JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def refuse_options(names: Iterable[str]) -> None:
    """Refuse the first option that may not be given.

    Raises:
        PydanticCustomError: Names it and why; never its value, which may be a secret.
    """
    for name in names:
        if why := _why_not(name):
            raise PydanticCustomError("option", "{why}", {"why": f"{name} may not be given, since {why}"})


def _why_not(name: str) -> str:
    if not NAME.fullmatch(name):
        return "it is no name of an option of librdkafka"
    if REACHED.fullmatch(name):
        return "both clients have to be told: kafka.security_protocol and the settings beside it say it"
    if name in SETTINGS:
        return f"the setting {SETTINGS[name]} says it"
    return PROMISES.get(name, "")
