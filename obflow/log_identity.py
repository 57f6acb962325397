"""Whether a topic is still the log that it was: asked time and again, by one client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import TopicCollection

from obflow import kafka
from obflow.settings import Settings
from schemas.errors import TopicMismatch

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


class LogIdentity:
    """The identity of one topic.

    Args:
        settings: `kafka` is used.
        topic: Its name on the broker.
        topic_id: The one that it had.
    """

    def __init__(self, settings: Settings, topic: str, topic_id: str) -> None:
        self._settings = settings
        self._topic = topic
        self._topic_id = topic_id
        self._client: AdminClient | None = None

    def is_replaced(self) -> bool:
        """Tell whether another log has its name now; one that is gone is replaced by none. Blocks.

        Raises:
            BrokerUnreachable: The broker does not answer, within the deadline of the settings.
        """
        try:
            return kafka.patiently(self._settings, self._ask) != self._topic_id
        except TopicMismatch:
            return False

    def _ask(self, left: float) -> str:
        self._client = self._client or kafka.admin(self._settings)
        answers = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=left)
        return kafka.url_safe(answers[self._topic].result(left + 1).topic_id)
