"""Which stages have a language model beside them, and how it is opened where the settings name one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.contract import Emit
from processors.llm.budget import BudgetLimits
from processors.llm.keys import Keys, is_plausible
from processors.llm.models_list import validate_key
from processors.llm.pricing import Prices
from processors.regimes.events import rule_set
from processors.regimes.rules import rule_settings
from processors.settings import RegimeSettings
from schemas.codec import decode_as, encode
from schemas.errors import MessageError, UsageError
from schemas.messages import LlmCall, RegimeEvent
from schemas.partitions import partition_of
from schemas.topics import LLM_CALLS, REGIMES, Topic
from schemas.units import NS_PER_MS

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
            UsageError: No model is named, the endpoint is no address, the key cannot stand in a header, or there is a
                budget in money and no price.
        """
        chosen = settings.of(RegimeSettings)
        if not is_asked(chosen):
            return None
        return open_asker(chosen, metrics, send, settings.kafka.partitions, partial(read_calls, settings))


BESIDE: Final = {"regimes": BesideRegimes()}
"""By name of the stage."""


def is_asked(chosen: RegimeSettings) -> bool:
    """Whether a model is configured: an endpoint or a key is set."""
    return bool(chosen.base_url or chosen.api_key.get_secret_value())


def read_calls(settings: Settings, since_ns: int) -> Iterator[LlmCall]:
    """The rows of all workers written since a time, ns UTC.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
        FatalError: The log gave nothing for half a minute.
    """
    from obflow import kafka
    from obflow.whole_log import read_since

    name = topic_name(settings, LLM_CALLS)
    offsets = kafka.offsets_at(settings, [name], since_ns // NS_PER_MS)
    for logged in read_since(settings, name, {part: offset for (_, part), offset in offsets.items()}):
        with suppress(MessageError):  # none of ours; a sink puts it aside
            yield decode_as(LlmCall, logged.value)


def open_asker(
    chosen: RegimeSettings,
    metrics: Metrics,
    send: Send,
    partitions: int = 1,
    read: Callable[[int], Iterable[LlmCall]] = lambda _: (),
) -> LlmAsker:
    """The asker that the settings describe. Errors as of `BesideRegimes.open`."""
    # Where no model is configured, none of this is imported.
    from processors.llm.asker import LlmAsker
    from processors.llm.client import LlmClient
    from processors.llm.limits import LlmLimits, LlmOutputs

    url = checked_url(chosen.base_url or OPENAI)
    if not chosen.model:
        raise UsageError("a language model's endpoint or key is set, but no model", next_step="name regimes.model")
    key = chosen.api_key.get_secret_value()
    if key and not is_plausible(key):
        raise UsageError("regimes.api_key is no key: it holds spaces or signs no header may hold")
    prices = Prices(chosen.input_price, chosen.output_price, chosen.cached_input_price)
    budget = checked_budget(chosen, prices)
    keys = Keys(
        key,
        chosen.api_key_file,
        lambda reason: metrics.counter("obflow_rejected_total", reason=reason).inc(),
        partial(validate_key, url),
    )
    limits = LlmLimits(
        endpoint=url,
        model=chosen.model,
        rules=rule_set(rule_settings(chosen)),
        prices=prices,
        budget=budget,
        partitions=partitions,
        answer_tokens=chosen.answer_tokens,
        deadline_s=chosen.deadline_seconds,
        concurrency=chosen.concurrency,
        requests_per_minute=chosen.requests_per_minute,
        breaker_failures=chosen.breaker_failures,
        breaker_wait_s=chosen.breaker_wait_seconds,
        language=chosen.language,
    )
    outputs = LlmOutputs(
        event=lambda partition, event: send(partition, _emit(REGIMES, event)),
        call=lambda partition, call: send(partition, _emit(LLM_CALLS, call)),
        masked=keys.masked,
        home=lambda instrument: partition_of(str(instrument), partitions),
    )
    client = LlmClient(url, chosen.model, keys.current, chosen.answer_tokens)
    return LlmAsker(client, limits, outputs, metrics, read, keys=keys)


def _emit(topic: Topic, record: RegimeEvent | LlmCall) -> Emit:
    return Emit(topic, str(record.instrument), encode(record), source_offset=None)


def checked_budget(chosen: RegimeSettings, prices: Prices) -> BudgetLimits:
    """The budget that the settings describe.

    Raises:
        UsageError: It is one in money, and what the model costs is not known.
    """
    budget = BudgetLimits(
        chosen.budget_usd_per_day,
        chosen.budget_tokens_per_day,
        chosen.budget_usd_per_minute,
        chosen.budget_tokens_per_minute,
    )
    if budget.need_prices and not prices.are_known:
        raise UsageError(
            f"a budget in USD is set, but not what the model {chosen.model} costs",
            next_step="set regimes.input_price and regimes.output_price, 0 where it is free",
        )
    return budget


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
