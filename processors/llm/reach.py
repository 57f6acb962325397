"""Whether the endpoint of each arm answers, takes the key, and has the model: what `obflow doctor` asks."""

from __future__ import annotations

import http.client
import time
from typing import Final

from obflow.findings import Check
from processors.llm.beside import ArmChoice, arms_of, checked_arm, checked_budget, is_asked
from processors.llm.key_ring import ModelKey
from processors.llm.models_list import DENIED, ListAnswer, ask_models
from processors.llm.pricing import Prices
from processors.rollout.machine import BLUE
from processors.settings import RegimeSettings
from schemas.errors import UsageError
from schemas.masking import mask_credentials

SHOWN: Final = 5
NAME: Final = "model endpoint"
NO_LIST: Final = frozenset({404, 405, 501})


def endpoint_checks(chosen: RegimeSettings) -> list[Check]:
    """Look at the endpoint of each arm that is configured. No question is asked that would cost anything."""
    try:
        arms = arms_of(chosen)
    except UsageError as error:
        return [Check(NAME, False, error.cause, error.next_step)]
    return [_arm_check(chosen, arm) for arm in arms] if is_asked(chosen) else []


def name_of(arm: str) -> str:
    """What the check of an arm is called: the first one has no name of its own, for most have one alone."""
    return NAME if arm == BLUE else f"{NAME} {arm}"


def _arm_check(chosen: RegimeSettings, arm: ArmChoice) -> Check:
    name = name_of(arm.name)
    try:
        url = checked_arm(arm)
        checked_budget(chosen, arm)
        answer = ask_models(url, arm.key)
    except UsageError as error:
        return Check(name, False, error.cause, error.next_step)
    except (OSError, http.client.HTTPException) as error:
        sentence = f"{mask_credentials(url)} does not answer ({type(error).__name__})"
        return Check(name, False, sentence, f"check {arm.prefix}base_url, or take that model out of the settings")
    return endpoint_finding(mask_credentials(url), arm, answer)


def endpoint_finding(url: str, arm: ArmChoice, answer: ListAnswer) -> Check:
    """Judge an endpoint by its list of models.

    Args:
        url: Its address.
        arm: Who is to be asked there.
        answer: What it said.
    """
    name, prefix = name_of(arm.name), arm.prefix
    if answer.status in DENIED:
        return Check(name, False, f"{url} refuses the key (HTTP {answer.status})", f"check {prefix}api_key_file")
    if answer.status in NO_LIST:
        return Check(name, True, f"{url} answers; it lists no models{_means(arm)}")
    if answer.status != http.client.OK:
        return Check(name, False, f"{url} answers with HTTP {answer.status}", f"check {prefix}base_url")
    if answer.models and arm.model not in answer.models:
        named = ", ".join(answer.models[:SHOWN]) + (" …" if len(answer.models) > SHOWN else "")
        return Check(name, False, f"{url} has no model {arm.model}", f"set {prefix}model to one of its own: {named}")
    return Check(name, True, f"{url} answers, and has {arm.model}{_means(arm)}")


def _means(arm: ArmChoice) -> str:
    """With which key it is asked, and for how much."""
    return f"; {f'key {ModelKey(arm.key).id}' if arm.key else 'no key'}; {_priced(arm.prices.at(time.time_ns()))}"


def _priced(prices: Prices) -> str:
    if not prices.are_known:
        return "no prices, so that nothing is known of what it costs"
    cached = "" if prices.cached_input_usd is None else f" ({prices.cached_input_usd:g} of what it had kept)"
    return f"{prices.input_usd:g} USD a million tokens in{cached}, {prices.output_usd:g} out"
