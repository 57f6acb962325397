"""An answer is a verdict or an error, never something in between."""

import json

import pytest

from processors.regimes.verdict import RESPONSE_SCHEMA, InvalidVerdict, LlmVerdict, parse_verdict
from schemas.messages import Regime

GOOD = {"label": "VOLATILE", "confidence": 0.75, "sentence": "Realised variance ranks above all earlier windows."}


def test_a_good_answer_is_read() -> None:
    assert parse_verdict(json.dumps(GOOD)) == LlmVerdict(Regime.VOLATILE, 0.75, str(GOOD["sentence"]))


def test_what_no_terminal_should_be_sent_becomes_a_space() -> None:
    sentence = "calm\x1b[2J\nthe\u202emarket\x00 ist ruhig – 市场平静"
    found = parse_verdict(json.dumps({**GOOD, "sentence": sentence}))
    assert found.sentence == "calm [2J the market  ist ruhig – 市场平静"


@pytest.mark.parametrize(
    "answer",
    [
        "The market looks volatile to me.",
        "",
        "<html><body>502</body></html>",
        json.dumps({**GOOD, "label": "SIDEWAYS"}),
        json.dumps({**GOOD, "label": "volatile"}),
        json.dumps({**GOOD, "confidence": 2}),
        json.dumps({**GOOD, "confidence": -0.1}),
        json.dumps({**GOOD, "confidence": "0.5"}),
        json.dumps({**GOOD, "confidence": None}),
        '{"label": "VOLATILE", "confidence": NaN, "sentence": ""}',
        json.dumps({**GOOD, "sentence": "x" * 301}),
        json.dumps({**GOOD, "advice": "buy"}),
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
    assert set(RESPONSE_SCHEMA["required"]) == set(LlmVerdict.__struct_fields__)
