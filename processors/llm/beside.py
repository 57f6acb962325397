"""Which stages have a language model beside them, and how it is opened where the settings name one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.contract import Emit
from processors.llm.budget import BudgetLimits
from processors.llm.key_ring import is_plausible
from processors.llm.price_table import PriceRow, PriceTable, read_prices
from processors.llm.pricing import PriceList, Prices
from processors.rollout.machine import BLUE, GREEN
from processors.settings import RegimeSettings
from schemas.codec import decode_as
from schemas.errors import MessageError, UsageError
from schemas.messages import LlmCall
from schemas.topics import LLM_CALLS, REGIMES, ROLLOUT, Topic
from schemas.units import NS_PER_MS

if TYPE_CHECKING:
    from processors.llm.arms import ModelArms
    from processors.llm.asker import LlmAsker

OPENAI: Final = "https://api.openai.com/v1"

Send = Callable[[int, Emit], None]
"""Puts a record on its way, given the partition its instrument has everywhere."""


class BesideRegimes:
    """Beside the regimes: a model judges closed windows too."""

    writes: tuple[Topic, ...] = (REGIMES, LLM_CALLS, ROLLOUT)
    obeys: tuple[Topic, ...] = (ROLLOUT,)

    def open(self, settings: Settings, metrics: Metrics, send: Send) -> LlmAsker | ModelArms | None:
        """The asker that the settings describe; None where they name neither an endpoint nor a key.

        Raises:
            UsageError: No model is named, the endpoint is no address, the key cannot stand in a header, there is a
                budget in money and no price, or a second arm and no rollout.
        """
        chosen = settings.of(RegimeSettings)
        if not is_asked(chosen):
            return None
        read = partial(read_calls, settings)
        if not chosen.rollout:
            return open_asker(chosen, metrics, send, settings.kafka.partitions, read)
        from processors.llm.opening import ArmPorts, open_rollout

        return open_rollout(settings, metrics, ArmPorts(send, settings.kafka.partitions, read))


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
    from obflow import kafka_logs
    from obflow.whole_log import read_since

    name = topic_name(settings, LLM_CALLS)
    offsets = kafka_logs.offsets_at(settings, [name], since_ns // NS_PER_MS)
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
    """The asker of the one model that the settings describe. Errors as of `BesideRegimes.open`."""
    # Where no model is configured, none of this is imported.
    from processors.llm.opening import ArmPorts, open_arm

    blue, *_ = arms_of(chosen)
    return open_arm(blue, chosen, metrics, ArmPorts(send, partitions, read))


class ArmChoice(NamedTuple):
    """One arm, as the settings describe it.

    Attributes:
        name: blue or green.
        base_url, model: Whom it asks.
        key, key_file: With which key, and where that came from.
        prices: Of the model, over time.
        prefix: Before the names of its settings.
    """

    name: str
    base_url: str
    model: str
    key: str
    key_file: Path | None
    prices: PriceList
    prefix: str = "regimes."


def arms_of(chosen: RegimeSettings) -> tuple[ArmChoice, ...]:
    """The arms that the settings describe, the first model first.

    Raises:
        UsageError: A second one is named, and nothing rolls it out; or a row of prices is none.
    """
    own = Prices(chosen.input_price, chosen.output_price, chosen.cached_input_price)
    url = chosen.base_url or OPENAI
    prices = prices_of(chosen.prices, own, url, chosen.model)
    key = chosen.api_key.get_secret_value()
    blue = ArmChoice(BLUE, url, chosen.model, key, chosen.api_key_file, prices)
    key = chosen.green_api_key.get_secret_value()
    if not (chosen.green_base_url or key or chosen.green_model):
        return (blue,)
    if not chosen.rollout:
        raise UsageError("a second model is named, and no rollout", next_step="set regimes.rollout to true")
    own = Prices(chosen.green_input_price, chosen.green_output_price, chosen.green_cached_input_price)
    url, path = chosen.green_base_url or OPENAI, chosen.green_api_key_file
    prices = prices_of(chosen.prices, own, url, chosen.green_model)
    return blue, ArmChoice(GREEN, url, chosen.green_model, key, path, prices, "regimes.green_")


def prices_of(table: str, own: Prices, url: str, model: str) -> PriceTable:
    """Prices of a model over time: one's own rows, before the first of them one's own price, else what is known of it.

    Args:
        table: Rows of one's own.
        own: One's own price without a date.
        url: The endpoint.
        model: The model.

    Raises:
        UsageError: A row is none.
    """
    rows = read_prices(table, model)
    if own.input_usd is not None or own.output_usd is not None:
        return PriceTable([PriceRow(model, 0, own), *rows])
    from processors.llm.bundled_prices import bundled_prices

    return PriceTable(rows, bundled_prices(url, model))


def checked_arm(arm: ArmChoice) -> str:
    """The address of an arm that can be asked.

    Raises:
        UsageError: No model is named, the endpoint is no address, or the key cannot stand in a header.
    """
    url = checked_url(arm.base_url, f"{arm.prefix}base_url")
    if not arm.model:
        raise UsageError("a language model's endpoint or key is set, but no model", next_step=f"name {arm.prefix}model")
    if arm.key and not is_plausible(arm.key):
        raise UsageError(f"{arm.prefix}api_key is no key: it holds spaces or signs no header may hold")
    return url


def checked_budget(chosen: RegimeSettings, arm: ArmChoice) -> BudgetLimits:
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
    if budget.need_prices and not arm.prices.at(time.time_ns()).are_known:
        raise UsageError(
            f"a budget in USD is set, but not what the model {arm.model} costs",
            next_step=f"set {arm.prefix}input_price and {arm.prefix}output_price, 0 where it is free",
        )
    return budget


def checked_url(url: str, setting: str) -> str:
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
        raise UsageError(f"{setting} is no address: {url}", next_step="write it as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UsageError(
            f"{setting} holds credentials or a query, and it stands in every row of llm_calls",
            next_step="put the key into regimes.api_key_file",
        )
    return url.rstrip("/")
