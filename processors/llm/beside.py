"""Which stages have a language model beside them, and how it is opened where the settings name one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obflow.metrics import Metrics
from obflow.settings import Settings
from processors.contract import Emit
from processors.llm.keys import Keys, is_plausible
from processors.llm.pricing import Prices
from processors.regimes.events import rule_set
from processors.regimes.rules import rule_settings
from processors.settings import RegimeSettings
from schemas.codec import encode
from schemas.errors import UsageError
from schemas.messages import LlmCall, RegimeEvent
from schemas.partitions import partition_of
from schemas.topics import LLM_CALLS, REGIMES, Topic

if TYPE_CHECKING:
    from processors.llm.asker import LlmAsker

OPENAI: Final = "https://api.openai.com/v1"

Send = Callable[[int, Emit], None]
"""Puts a record on its way, given the partition its instrument has everywhere."""


class BesideRegimes:
    """Beside the regimes: a model judges closed windows too."""

    writes: tuple[Topic, ...] = (REGIMES, LLM_CALLS)

    def open(self, settings: Settings, metrics: Metrics, send: Send) -> LlmAsker | None:
        """The asker that the settings describe; None where they name neither an endpoint nor a key.

        Raises:
            UsageError: No model is named, the endpoint is no address, or the key cannot stand in a header.
        """
        chosen = settings.of(RegimeSettings)
        return open_asker(chosen, metrics, send, settings.kafka.partitions) if is_asked(chosen) else None


BESIDE: Final = {"regimes": BesideRegimes()}
"""By name of the stage."""


def is_asked(chosen: RegimeSettings) -> bool:
    """Whether a model is configured: an endpoint or a key is set."""
    return bool(chosen.base_url or chosen.api_key.get_secret_value())


def open_asker(chosen: RegimeSettings, metrics: Metrics, send: Send, partitions: int = 1) -> LlmAsker:
    """The asker that the settings describe. Errors as of `BesideRegimes.open`."""
    # Where no model is configured, none of this is imported.
    from processors.llm.asker import LlmAsker, LlmLimits, LlmOutputs
    from processors.llm.client import LlmClient

    url = checked_url(chosen.base_url or OPENAI)
    if not chosen.model:
        raise UsageError("a language model's endpoint or key is set, but no model", next_step="name regimes.model")
    key = chosen.api_key.get_secret_value()
    if key and not is_plausible(key):
        raise UsageError("regimes.api_key is no key: it holds spaces or signs no header may hold")
    keys = Keys(key, chosen.api_key_file, lambda: metrics.counter("obflow_rejected_total", reason="KeyUnusable").inc())
    limits = LlmLimits(
        endpoint=url,
        model=chosen.model,
        rules=rule_set(rule_settings(chosen)),
        prices=Prices(chosen.input_price, chosen.output_price),
        deadline_s=chosen.deadline_seconds,
        concurrency=chosen.concurrency,
        requests_per_minute=chosen.requests_per_minute,
        language=chosen.language,
    )
    outputs = LlmOutputs(
        event=lambda partition, event: send(partition, _emit(REGIMES, event)),
        call=lambda partition, call: send(partition, _emit(LLM_CALLS, call)),
        masked=keys.masked,
        home=lambda instrument: partition_of(str(instrument), partitions),
    )
    client = LlmClient(url, chosen.model, keys.current, chosen.answer_tokens)
    return LlmAsker(client, limits, outputs, metrics)


def _emit(topic: Topic, record: RegimeEvent | LlmCall) -> Emit:
    return Emit(topic, str(record.instrument), encode(record), source_offset=None)


def checked_url(url: str) -> str:
    """The endpoint's address without a slash at its end.

    Raises:
        UsageError: It is none, or holds what would stand in every row.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(f"regimes.base_url is no address: {url}", next_step="write it as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UsageError(
            "regimes.base_url holds credentials or a query, and it stands in every row of llm_calls",
            next_step="put the key into regimes.api_key_file",
        )
    return url.rstrip("/")
