"""`obflow regimes status|promote|hold|rollback|rearm|enable|disable`: shows a rollout, or asks for a change of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from obflow.sending import Sender
from obflow.settings import Settings
from obflow.topics import topic_name
from obflow.whole_log import read_log
from processors.llm.beside import arms_of, read_calls
from processors.llm.opening import rollout_rules
from processors.llm.reading import decoded
from processors.rollout.log import RolloutLog
from processors.rollout.machine import first_state
from processors.rollout.watch import CallWatch, Facts
from processors.rollout.worth import newest_by_model
from processors.settings import RegimeSettings
from schemas.codec import decode_as, encode
from schemas.errors import DependencyError, UsageError
from schemas.evaluations import RegimeEval
from schemas.partitions import partition_of
from schemas.rollouts import REQUEST_KEY, STATE_KEY, RolloutAction, RolloutRecord, RolloutStage
from schemas.topics import REGIME_EVAL, ROLLOUT
from schemas.units import NS_PER_DAY, NS_PER_SECOND

STATUS: Final = "status"
ACTIONS: Final = (STATUS, *RolloutAction)
ANSWER_S: Final = 15.0
LOOK_S: Final = 0.3
BY_HAND: Final = "operator"
NO_VERDICTS: Final[Mapping[str, RegimeEval]] = {}


def rollout_action(settings: Settings, action: str) -> RolloutRecord:
    """The state of the rollout; with any action but `status`, the one that answers it.

    Raises:
        UsageError: There is no such action, or no rollout is set.
        DependencyError: Nobody answers: no regimes worker runs that controls the rollout.
    """
    if action not in ACTIONS:
        raise UsageError(f"there is no action {action!r} of a rollout", next_step=f"there are {', '.join(ACTIONS)}")
    if not settings.of(RegimeSettings).rollout:
        raise UsageError("no rollout is set", next_step="set regimes.rollout to true")
    if action == STATUS:
        return current_state(settings)
    return _asked(settings, RolloutAction(action))


def current_state(settings: Settings) -> RolloutRecord:
    """The state that the log holds, or that before the first decision."""
    arms = tuple(arm.name for arm in arms_of(settings.of(RegimeSettings)))
    return _read(settings).state or first_state(arms)


def stage_facts(settings: Settings, state: RolloutRecord) -> Facts:
    """What the log of calls says of the state's stage, read now."""
    rules, now_ns = rollout_rules(settings.of(RegimeSettings)), time.time_ns()
    watch = CallWatch(state, rules.slo_ms, rules.budget)
    for row in read_calls(settings, max(0, min(state.since_ns or now_ns, now_ns - NS_PER_DAY))):
        watch.take(row)
    return watch.facts(now_ns)


def newest_verdicts(settings: Settings) -> Mapping[str, RegimeEval]:
    """What each model is worth, by the newest record of it; none where nobody judges."""
    records = decoded(read_log(settings, topic_name(settings, REGIME_EVAL)), partial(decode_as, RegimeEval))
    return newest_by_model(record for record in records if isinstance(record, RegimeEval))


def told_verdict(verdict: RegimeEval) -> str:
    """What a model is worth in a line, with the mark after which it was so: nobody may judge any more."""
    mark = datetime.fromtimestamp(verdict.mark_ns // NS_PER_SECOND, UTC)
    return f"{verdict.sentence} (at the mark of {mark:%Y-%m-%d %H:%M} UTC)"


def told(state: RolloutRecord) -> str:
    """A state in a line."""
    share = f" {state.percent} % ({len(state.instruments)} instruments)" if state.stage is RolloutStage.CANARY else ""
    held = ", held" if state.is_held else ""
    off = "" if state.enabled else "; no question is asked: it is disabled"
    return f"{state.stage}{share}{held}, live {state.live}, candidate {state.candidate}: {state.reason}{off}"


def shown(
    state: RolloutRecord, facts: Facts | None, verdicts: Mapping[str, RegimeEval] = NO_VERDICTS
) -> dict[str, object]:
    """A state for machines; with what is known of its stage now, and what models are worth."""
    fields: dict[str, object] = msgspec.to_builtins(state)
    if facts is not None:
        guards = {name.value: reading._asdict() for name, reading in facts.readings.items()}
        fields["now"] = {"questions": facts.questions, "guards": guards, "day_is_spent": facts.is_spent}
        fields["verdicts"] = {model: msgspec.to_builtins(verdict) for model, verdict in verdicts.items()}
    return fields


def _asked(settings: Settings, action: RolloutAction) -> RolloutRecord:
    arms = tuple(arm.name for arm in arms_of(settings.of(RegimeSettings)))
    request = msgspec.structs.replace(
        first_state(arms), action=action, by=BY_HAND, request_id=uuid.uuid4().hex, decided_ns=time.time_ns(), reason=""
    )
    _send(settings, request)
    until_s = time.monotonic() + ANSWER_S
    while time.monotonic() < until_s:
        state = _read(settings).state
        if state is not None and state.request_id == request.request_id:
            return state
        time.sleep(LOOK_S)
    raise DependencyError(
        f"nobody answered within {ANSWER_S:g} s; it is done as soon as somebody does",
        next_step="start `obflow regimes` with regimes.rollout set to true",
    )


def _send(settings: Settings, request: RolloutRecord) -> None:
    beside_the_state = partition_of(STATE_KEY, settings.kafka.partitions)  # their order counts
    with closing(Sender(settings)) as sender:
        sender.send(
            topic_name(settings, ROLLOUT),
            encode(request),
            key=REQUEST_KEY,
            what="the request",
            partition=beside_the_state,
        )


def _read(settings: Settings) -> RolloutLog:
    records = decoded(read_log(settings, topic_name(settings, ROLLOUT)), partial(decode_as, RolloutRecord))
    return RolloutLog(record for record in records if isinstance(record, RolloutRecord))
