"""Whether the language model's endpoint answers, takes the key, and has the model: what `obflow doctor` asks."""

from __future__ import annotations

import http.client
from typing import Final

from obflow.findings import Check
from processors.llm.beside import OPENAI, checked_url, is_asked
from processors.llm.models_list import DENIED, ListAnswer, ask_models
from processors.settings import RegimeSettings
from schemas.errors import UsageError
from schemas.masking import mask_credentials

SHOWN: Final = 5
NAME: Final = "model endpoint"
NO_LIST: Final = frozenset({404, 405, 501})


def endpoint_checks(chosen: RegimeSettings) -> list[Check]:
    """Look at the endpoint, where one is configured. No question is asked that would cost anything."""
    if not is_asked(chosen):
        return []
    try:
        url = checked_url(chosen.base_url or OPENAI)
        answer = ask_models(url, chosen.api_key.get_secret_value())
    except UsageError as error:
        return [Check(NAME, False, error.cause, error.next_step)]
    except (OSError, http.client.HTTPException) as error:
        sentence = f"{mask_credentials(url)} does not answer ({type(error).__name__})"
        return [Check(NAME, False, sentence, "check regimes.base_url, or leave it empty for rules alone")]
    return [endpoint_finding(mask_credentials(url), chosen.model, answer)]


def endpoint_finding(url: str, model: str, answer: ListAnswer) -> Check:
    """Judge an endpoint by its list of models.

    Args:
        url: Its address.
        model: The one that is to be asked.
        answer: What it said.
    """
    if answer.status in DENIED:
        return Check(NAME, False, f"{url} refuses the key (HTTP {answer.status})", "check regimes.api_key_file")
    if answer.status in NO_LIST:
        return Check(NAME, True, f"{url} answers; it lists no models")
    if answer.status != http.client.OK:
        return Check(NAME, False, f"{url} answers with HTTP {answer.status}", "check regimes.base_url")
    if answer.models and model not in answer.models:
        named = ", ".join(answer.models[:SHOWN]) + (" …" if len(answer.models) > SHOWN else "")
        return Check(NAME, False, f"{url} has no model {model}", f"set regimes.model to one of its own: {named}")
    return Check(NAME, True, f"{url} answers, and has {model}")
