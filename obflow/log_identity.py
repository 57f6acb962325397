"""Whether topics are still the logs that they were: asked time and again, by one client for all of them."""

from __future__ import annotations

from confluent_kafka import TopicCollection

from obflow import kafka, kafka_logs
from obflow.settings import Settings
from schemas.errors import TopicMismatch


class LogIdentities:
    """The identities of topics, as the broker has them now. Threads may share it.

    Args:
        settings: `kafka` is used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = kafka.admin(settings)

    def is_replaced(self, topic: str, topic_id: str) -> bool:
        """Tell whether another log has a topic's name now; one that is gone is replaced by none. Blocks.

        Args:
            topic: Its name on the broker.
            topic_id: The identity that it had.

        Raises:
            BrokerUnreachable: The broker does not answer, within the deadline of the settings.
        """

        def ask(left: float) -> str:
            answers = self._client.describe_topics(TopicCollection([topic]), request_timeout=left)
            return kafka_logs.url_safe(answers[topic].result(left + 1).topic_id)

        try:
            return kafka.patiently(self._settings, ask) != topic_id
        except TopicMismatch:
            return False
