"""The regime worker: `factors.v1` in, `regimes.v1` out; the language model's desk beside it where one is set."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obflow.metrics import Metrics
from obflow.settings import RegimeSettings, Settings
from processors.llm.keys import Keys, is_plausible
from processors.llm.pricing import Prices
from processors.regimes.agent import Out, RegimesAgent
from processors.regimes.events import rule_set
from processors.regimes.partition import ROLE, Asker, Nobody
from processors.regimes.rules import RuleSettings
from processors.worker.agent import Ties
from processors.worker.app import Fail, Names, Role, Worker, wire
from processors.worker.cut import SourceLog
from processors.worker.meters import WorkerMeters
from schemas.errors import UsageError
from schemas.topics import DEAD_LETTERS, FACTORS, L2, LLM_CALLS, REGIMES, REGIMES_CHANGELOG

if TYPE_CHECKING:
    from processors.llm.asker import Desk

OPENAI: Final = "https://api.openai.com/v1"


def create_regimes(settings: Settings, source: SourceLog, metrics: Metrics, fail: Fail) -> Worker[RegimesAgent]:
    """Wire a regime worker.

    Raises:
        UsageError: The settings of the rules or of the model contradict each other.
    """
    rules = rule_settings(settings.regimes)
    meters = WorkerMeters(metrics, FACTORS, "regime")
    names = Names(settings.regimes.app_id, "windows", ROLE, outlives_log=True)
    desks: list[Desk] = []

    def create(ties: Ties) -> RegimesAgent:
        asker: Asker = Nobody()
        if is_asked(settings.regimes):
            desks.append(open_desk(settings, Out(settings, ties), metrics, rule_set(rules)))
            asker = desks[0]
        return RegimesAgent(settings, ties, meters, rules, asker)

    worker = wire(settings, source, names, create, meters, fail)
    if not desks:
        return worker
    return replace(worker, beside={"desk": desks[0].run}, before_stop=desks[0].close)


REGIMES_WORKER = Role("regimes", FACTORS, (L2, REGIMES, LLM_CALLS, DEAD_LETTERS, REGIMES_CHANGELOG), create_regimes)


def rule_settings(chosen: RegimeSettings) -> RuleSettings:
    """The rules' thresholds.

    Raises:
        UsageError: A label would be left above where it is entered.
    """
    for name in ("direction", "volatile"):
        enter, leave = getattr(chosen, f"{name}_enter"), getattr(chosen, f"{name}_leave")
        if leave > enter:
            raise UsageError(
                f"regimes.{name}_leave ({leave:g}) is above regimes.{name}_enter ({enter:g})",
                next_step="a label is entered above the one and left below the other: lower the first",
            )
    return RuleSettings(**{name: getattr(chosen, name) for name in RuleSettings.__struct_fields__})


def is_asked(chosen: RegimeSettings) -> bool:
    """Whether a model is configured: an endpoint or a key is set."""
    return bool(chosen.base_url or chosen.api_key.get_secret_value())


def open_desk(settings: Settings, out: Out, metrics: Metrics, rules: str) -> Desk:
    """The desk that the settings describe.

    Raises:
        UsageError: No model is named, the endpoint is no address, or the key cannot stand in a header.
    """
    # Where no model is configured, none of this is imported.
    from processors.llm.asker import Desk, DeskRules, Way
    from processors.llm.client import LlmClient

    chosen = settings.regimes
    url = _checked_url(chosen.base_url or OPENAI)
    if not chosen.model:
        raise UsageError("a language model's endpoint or key is set, but no model", next_step="name regimes.model")
    key = chosen.api_key.get_secret_value()
    if key and not is_plausible(key):
        raise UsageError("regimes.api_key is no key: it holds spaces or signs no header may hold")
    keys = Keys(key, chosen.api_key_file, lambda: metrics.counter("obflow_rejected_total", reason="KeyUnusable").inc())
    desk_rules = DeskRules(
        endpoint=url,
        model=chosen.model,
        rules=rules,
        prices=Prices(chosen.input_price, chosen.output_price),
        deadline_s=chosen.deadline_seconds,
        concurrency=chosen.concurrency,
        requests_per_minute=chosen.requests_per_minute,
    )
    way = Way(out.llm_event, out.call, keys.masked)
    return Desk(LlmClient(url, chosen.model, keys.current), desk_rules, way, metrics)


def _checked_url(url: str) -> str:
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
