"""An answer is a verdict or an error, never something in between; intelligence page, section 5."""

import json
from collections.abc import Iterator

import pytest

from processors.regimes.verdict import RESPONSE_SCHEMA, InvalidVerdict, LlmVerdict, parse_verdict
from schemas.messages import Outlook, Regime
from tests.integration.llm_server import VERDICT as GOOD


def keywords(schema: object) -> Iterator[str]:
    """The keywords of a JSON schema, but for names of properties."""
    if isinstance(schema, dict):
        yield from schema
        for name, part in schema.items():
            yield from (
                (key for each in part.values() for key in keywords(each)) if name == "properties" else keywords(part)
            )


def test_a_good_answer_is_read() -> None:
    found = parse_verdict(json.dumps(GOOD))
    told = {**GOOD, "label": Regime.VOLATILE, "observations": tuple(GOOD["observations"])}
    assert found == LlmVerdict(**told, confidence=1.0 - GOOD["p_up"])


def test_fields_that_were_not_asked_for_are_passed_over() -> None:
    assert parse_verdict(json.dumps({**GOOD, "advice": "buy", "confidence": 7})) == parse_verdict(json.dumps(GOOD))


def test_a_plain_judgement_is_a_verdict_without_probabilities() -> None:
    found = parse_verdict('{"label": "BALANCED", "confidence": 0.7, "sentence": "calm\\u0007"}')
    assert (found.label, found.confidence, found.summary) == (Regime.BALANCED, 0.7, "calm ")
    assert (found.p_up, found.p_volatile, found.outlook, found.observations) == (None, None, None, ())


@pytest.mark.parametrize(
    ("p_up", "outlook", "confidence"),
    [(0.62, Outlook.UP, 0.62), (0.55, Outlook.FLAT, 0.55), (0.45, Outlook.FLAT, 0.55), (0.2, Outlook.DOWN, 0.8)],
)
def test_direction_and_confidence_follow_from_the_probability(p_up: float, outlook: Outlook, confidence: float) -> None:
    found = parse_verdict(json.dumps({**GOOD, "p_up": p_up}))
    assert found.outlook is outlook
    assert found.confidence == pytest.approx(confidence)


def test_what_no_terminal_should_be_sent_becomes_a_space() -> None:
    text = "calm\x1b[2J\nthe\u202emarket\x00 ist ruhig – 市场平静"
    found = parse_verdict(json.dumps({**GOOD, "summary": text, "risk": text, "observations": [text]}))
    assert {found.summary, found.risk, *found.observations} == {"calm [2J the market  ist ruhig – 市场平静"}


def test_what_is_too_long_is_cut_and_a_fourth_observation_left_out() -> None:
    found = parse_verdict(
        json.dumps({**GOOD, "observations": ["x" * 161] * 4, "risk": "y" * 201, "summary": "z" * 241})
    )
    assert [len(text) for text in found.observations] == [160] * 3
    assert (len(found.risk), len(found.summary)) == (200, 240)
    assert found.summary.endswith("z…")


@pytest.mark.parametrize(
    "answer",
    [
        "The market looks volatile to me.",
        "",
        "<html><body>502</body></html>",
        json.dumps({**GOOD, "label": "SIDEWAYS"}),
        json.dumps({**GOOD, "label": "volatile"}),
        json.dumps({**GOOD, "p_up": 2}),
        json.dumps({**GOOD, "p_volatile": -0.1}),
        json.dumps({**GOOD, "p_up": "0.5"}),
        json.dumps({**GOOD, "p_up": None}),
        json.dumps({**GOOD, "p_up": float("nan")}),
        json.dumps({**GOOD, "observations": []}),
        json.dumps({**GOOD, "observations": "calm"}),
        json.dumps({"label": "BALANCED", "confidence": 1.5, "sentence": "calm"}),
        json.dumps({"label": "BALANCED", "confidence": 0.5, "sentence": "calm", "p_up": 2}),
        json.dumps({"label": "VOLATILE"}),
        json.dumps([GOOD]),
        json.dumps(GOOD)[:-5],
        b"\xff\xfe",
    ],
)
def test_anything_else_is_refused(answer: str | bytes) -> None:
    with pytest.raises(InvalidVerdict):
        parse_verdict(answer)


def test_the_schema_names_every_regime_and_every_field() -> None:
    assert set(RESPONSE_SCHEMA["properties"]["label"]["enum"]) == {label.value for label in Regime}
    assert (
        set(RESPONSE_SCHEMA["required"])
        == set(RESPONSE_SCHEMA["properties"])
        == {*LlmVerdict.__struct_fields__} - {"confidence"}
    )


def test_the_schema_has_no_keyword_that_a_strict_endpoint_refuses() -> None:
    taken = {"type", "enum", "properties", "required", "items", "additionalProperties"}
    assert set(keywords(RESPONSE_SCHEMA)) <= taken
