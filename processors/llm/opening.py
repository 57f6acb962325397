"""Opens what the settings describe: an arm's asker, and the rollout over the arms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from obflow import kafka_logs
from obflow.following import follow
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from processors.contract import Emit
from processors.llm.arms import FollowedRollout, ModelArms
from processors.llm.asker import LlmAsker
from processors.llm.beside import ArmChoice, Send, arms_of, checked_arm, checked_budget
from processors.llm.calls import OwnCalls
from processors.llm.client import LlmClient
from processors.llm.controller import RolloutController, RolloutRules, StageWatch, day_budget
from processors.llm.keys import Keys
from processors.llm.limits import LlmLimits, LlmOutputs
from processors.llm.models_list import validate_key
from processors.llm.purse import Purse
from processors.llm.reading import LogReader, decoded_as
from processors.llm.shapes import FULL
from processors.regimes.events import rule_set
from processors.regimes.prompt import instructions
from processors.regimes.rules import rule_settings
from processors.rollout.machine import first_state
from processors.rollout.schedule import Schedule, read_schedule
from processors.rollout.worth import HeardVerdicts
from processors.settings import RegimeSettings
from schemas.codec import encode
from schemas.evaluations import RegimeEval
from schemas.messages import LlmCall, RegimeEvent
from schemas.partitions import partition_of
from schemas.rollouts import STATE_KEY, RolloutRecord
from schemas.topics import LLM_CALLS, REGIME_EVAL, REGIMES, ROLLOUT, Topic
from schemas.units import NS_PER_MS

QUESTION_CHARACTERS: Final = 4_000
"""Bound of a question's own numbers, for what one more can cost."""


class ArmPorts(NamedTuple):
    """Where what an arm makes leaves, and what it has to know.

    Attributes:
        send: Sends a record.
        partitions: Of every topic.
        read: The rows of all workers since a time.
        purse: What may be spent, where arms share it.
        own: Tells the worker's rows, where arms share them.
    """

    send: Send
    partitions: int
    read: Callable[[int], Iterable[LlmCall]]
    purse: Purse | None = None
    own: OwnCalls | None = None


def open_arm(arm: ArmChoice, chosen: RegimeSettings, metrics: Metrics, ports: ArmPorts) -> LlmAsker:
    """The asker of an arm.

    Raises:
        UsageError: No model is named, the endpoint is no address, the key cannot stand in a header, or there is a
            budget in money and no price.
    """
    url = checked_arm(arm)
    limits = _limits(arm, url, chosen, ports.partitions)
    keys = Keys(
        arm.key,
        arm.key_file,
        lambda reason: metrics.counter("obflow_rejected_total", reason=reason).inc(),
        partial(validate_key, url),
    )

    outputs = LlmOutputs(
        event=lambda partition, event: ports.send(partition, _emit(REGIMES, event)),
        call=lambda partition, call: ports.send(partition, _emit(LLM_CALLS, call)),
        masked=keys.masked,
        home=lambda instrument: partition_of(str(instrument), ports.partitions),
    )
    client = LlmClient(url, arm.model, keys.current, chosen.answer_tokens)
    return LlmAsker(client, limits, outputs, metrics, ports.read, keys=keys, purse=ports.purse, own=ports.own)


def open_rollout(settings: Settings, metrics: Metrics, ports: ArmPorts) -> ModelArms:
    """The askers of all arms, and the rollout over them. Errors as of `open_arm`, and where stages are none."""
    chosen = settings.of(RegimeSettings)
    arms, own = arms_of(chosen), OwnCalls()
    rules = rollout_rules(chosen)
    budget = checked_budget(chosen, arms[0])
    purse = Purse(budget, ports.partitions, ports.read, own)
    first = first_state(rules.arms)
    followed = FollowedRollout(first)
    shared = ports._replace(own=own, purse=purse)
    askers = {arm.name: open_arm(arm, chosen, metrics, shared) for arm in arms}
    rollout_topic = topic_name(settings, ROLLOUT)
    reader = LogReader("rollout", partial(follow, settings, rollout_topic), dict, followed.take)
    heard, models = HeardVerdicts(), {arm.name: arm.model for arm in arms}
    verdicts = LogReader(
        "rollout-worth",
        partial(follow, settings, topic_name(settings, REGIME_EVAL)),
        dict,
        lambda records: heard.take(decoded_as(RegimeEval, records)),
    )
    controller = RolloutController(
        rules,
        followed.log,
        lambda: reader.is_current,
        first,
        lambda state: watch_stage(settings, state, rules),
        lambda state: ports.send(partition_of(STATE_KEY, ports.partitions), _state_emit(state)),
        lambda state: heard.on(models.get(state.candidate, ""), time.time_ns()),
    )
    return ModelArms(askers, followed, (reader, verdicts), controller, purse, metrics)


def rollout_rules(chosen: RegimeSettings) -> RolloutRules:
    """How the rollout goes by the settings. Raises UsageError where its stages are none."""
    arms = arms_of(chosen)
    schedule = Schedule(
        read_schedule(chosen.rollout_stages),
        chosen.rollout_questions,
        chosen.rollout_by_hand_above,
        chosen.rollout_salt,
    )
    tokens_in, tokens_out = FULL.most_tokens(instructions() + " " * QUESTION_CHARACTERS, chosen.answer_tokens)
    dearest = max(arm.prices.most_usd(tokens_in, tokens_out) for arm in arms)
    budget = day_budget(chosen.budget_usd_per_day, chosen.budget_tokens_per_day, dearest, tokens_in + tokens_out)
    return RolloutRules(tuple(arm.name for arm in arms), schedule, chosen.rollout_slow_ms, budget)


def watch_stage(settings: Settings, state: RolloutRecord, rules: RolloutRules) -> StageWatch:
    """Begin to read what the log of calls says of a state's stage."""
    calls = topic_name(settings, LLM_CALLS)

    def offsets_at(since_ns: int) -> dict[int, int]:
        found = kafka_logs.offsets_at(settings, [calls], since_ns // NS_PER_MS)
        return {part: offset for (_, part), offset in found.items()}

    return StageWatch(state, rules, partial(follow, settings, calls), offsets_at)


def _limits(arm: ArmChoice, url: str, chosen: RegimeSettings, partitions: int) -> LlmLimits:
    return LlmLimits(
        endpoint=url,
        model=arm.model,
        rules=rule_set(rule_settings(chosen)),
        prices=arm.prices,
        budget=checked_budget(chosen, arm),
        partitions=partitions,
        answer_tokens=chosen.answer_tokens,
        deadline_s=chosen.deadline_seconds,
        concurrency=chosen.concurrency,
        requests_per_minute=chosen.requests_per_minute,
        breaker_failures=chosen.breaker_failures,
        breaker_wait_s=chosen.breaker_wait_seconds,
        language=chosen.language,
        arm=arm.name,
    )


def _emit(topic: Topic, record: RegimeEvent | LlmCall) -> Emit:
    return Emit(topic, str(record.instrument), encode(record), source_offset=None)


def _state_emit(state: RolloutRecord) -> Emit:
    return Emit(ROLLOUT, STATE_KEY, encode(state), source_offset=None)
