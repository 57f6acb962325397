"""Words without a model, and whether words rest on what was shown; intelligence page, section 5."""

import string
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regimes.faithful import unshown_numbers
from processors.regimes.shown import shown
from processors.regimes.state import Closed, RegimeState, close_windows
from processors.regimes.verdict import MAX_OBSERVATION, MAX_RISK, MAX_SUMMARY
from processors.regimes.words import rule_words, templates
from processors.settings import RegimeSettings
from schemas.messages import Regime
from tests.processors.regimes.generated import RULES, Market, record

CLOSED: list[Closed] = close_windows(RegimeState(), record(Market(13).events(800)), RULES, lambda _: None)
LANGUAGES = ("en", "zh", "vi")
NUMBERS = (0.312, -2.19, 61800.0, 12.0, 0.0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_window_has_its_sentences_and_they_rest_on_what_is_shown(language: str) -> None:
    for closed, label in product(CLOSED, Regime):
        found = msgspec.structs.replace(shown(closed), rule_label=label)
        words = rule_words(found, language)
        assert 1 <= len(words.observations) <= 3
        assert all(0 < len(text) <= MAX_OBSERVATION for text in words.observations)
        assert 0 < len(words.risk) <= MAX_RISK
        assert 0 < len(words.summary) <= MAX_SUMMARY
        assert unshown_numbers((*words.observations, words.risk, words.summary), found.numbers()) == []


def test_the_languages_of_the_settings_have_the_same_templates() -> None:
    schema = RegimeSettings.model_json_schema()["properties"]["language"]
    assert tuple(schema["enum"]) == LANGUAGES
    for language in LANGUAGES:
        words = templates(language)
        assert set(words.risk) == set(words.summary) == set(Regime)
        for name in ("imbalance", "movement", "spread"):
            assert _fields(getattr(words, name)) == _fields(getattr(templates("en"), name))


def _fields(text: str) -> set[str | None]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


@pytest.mark.parametrize(
    "text",
    [
        "Imbalance 0.312 and falling",
        "不平衡为0.312，波动",
        "nghiêng 0,312 về bên mua",
        "asks by 0.313 or 0.311",
        "31.2% of the depth",
        "31.2 % of it",
        "the mid fell 2.19bps",
        "−2.19 bps",
        "at 61,800.0 or 61800 or 6.18e4",
        "obi_l1_last in L5 of v1.5",
        "arrays [0.312,12,0]",
        "none at all",
    ],
)
def test_numbers_that_were_shown_are_faithful_however_they_are_written(text: str) -> None:
    assert unshown_numbers([text], NUMBERS) == []


@pytest.mark.parametrize(
    ("text", "unshown"),
    [
        ("imbalance 0.314", ["0.314"]),
        ("imbalance 0.31", ["0.31"]),
        ("a rise of 7 in 12 windows", ["7"]),
        ("at 61,600", ["61,600"]),
        ("it was .5", [".5"]),
        ("50% chance", ["50%"]),
        ("０．５ wide", ["0.5"]),
        ("1e999", ["1e999"]),
    ],
)
def test_a_number_that_was_not_shown_is_found(text: str, unshown: list[str]) -> None:
    assert unshown_numbers([text], NUMBERS) == unshown


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5), st.text("0123456789.,eE%- ", max_size=40))
def test_what_is_shown_is_faithful_among_any_signs(numbers: list[float], noise: str) -> None:
    known = [float(f"{number:.3g}") for number in numbers]
    said = [f"{number:.3g}" for number in known]
    assert unshown_numbers(said, known) == []
    unshown_numbers([noise], known)
