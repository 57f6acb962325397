"""Records sent one at a time, each waited for until the broker has it: verdicts, requests, what is sent again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from obflow import kafka
from obflow.settings import Settings
from schemas.errors import DeliveryFailed

if TYPE_CHECKING:
    from confluent_kafka import Producer


class Sender:
    """Sends records one at a time, over one client for as long as it serves.

    Args:
        settings: `kafka` and `producer` are used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._patience_s = kafka.sending(settings).delivery_timeout_seconds
        self._client: Producer | None = None

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: str,
        what: str,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Send one record, and wait until the broker has it.

        Args:
            topic: Name on the broker, with its prefix.
            value: The record.
            key: Its key.
            what: What it is, as an error's sentence begins.
            partition: Where it lies; None leaves it to the key.
            headers: Its headers.

        Raises:
            DeliveryFailed: It was not acknowledged in time.
        """
        client = self._client = self._client or kafka.producer(self._settings)
        failures: list[str] = []
        try:
            client.produce(
                topic,
                value,
                key=key.encode(),
                headers=list(headers),
                on_delivery=lambda error, _message: failures.append(str(error.str())) if error is not None else None,
                **({} if partition is None else {"partition": partition}),
            )
            left = client.flush(self._patience_s)
        except KafkaException as error:  # what the client knows already, as that there is no such partition
            left, failures = 1, [str(error.args[0].str())]
        if left or failures:
            self.close()  # an idempotent client that has failed may take nothing more
            raise DeliveryFailed(f"{what} was not acknowledged ({failures[0] if failures else 'no answer in time'})")

    def close(self) -> None:
        """Let go of the client; what it still holds is not sent any more. A later record has a new one."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaException):
                client.purge()
                client.flush(0)
