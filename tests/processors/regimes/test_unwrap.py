"""An object is found in what usually stands around it, and nothing else is taken for one."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regimes.unwrap import MOST_TRIED, Wrapping, WrittenObject, first_object

JSON = st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3).map(json.dumps)
WORDS = st.text(max_size=30).filter(lambda text: not set("{<`") & set(text))


@given(JSON)
def test_a_bare_object_is_itself(text: str) -> None:
    assert first_object(text) == WrittenObject(text, Wrapping.NONE)


@given(WORDS, JSON, WORDS)
def test_words_around_an_object_are_left(before: str, text: str, after: str) -> None:
    found = first_object(f"{before}{text}{after}")
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "wrapping"),
    [
        ('```json\n{"a": 1}\n```', Wrapping.FENCE),
        ('```\n{"a": 1}```', Wrapping.FENCE),
        ('Sure! {"a": 1}', Wrapping.WORDS),
        ('{no} {"a": 1} {"a": 2}', Wrapping.WORDS),
        ('[{"a": 1}]', Wrapping.WORDS),
        ('<think>{"a": 0}</think>{"a": 1}', Wrapping.THINKING),
        ('<Thinking>{"a": 0}</Thinking>\n```json\n{"a": 1}\n```', Wrapping.THINKING),
        ('{"a": 1}<think>or {"a": 0}?', Wrapping.THINKING),
        ('so {"a": 0} it is</think>{"a": 1}', Wrapping.THINKING),
        ('[THINK]{"a": 0}[/THINK]{"a": 1}', Wrapping.THINKING),
        ('◁think▷{"a": 0}◁/think▷{"a": 1}', Wrapping.THINKING),
        ('<seed:think>{"a": 0}</seed:think>{"a": 1}', Wrapping.THINKING),
        ('<|channel|>analysis<|message|>{"a": 0}<|end|><|channel|>final<|message|>{"a": 1}', Wrapping.THINKING),
        ('<scratchpad>{"a": 0}</scratchpad>\n{"a": 1}', Wrapping.THINKING),
        ('<think >{"a": 0}</think >{"a": 1}', Wrapping.THINKING),
        ('<reasoning effort="low">{"a": 0}</reasoning><answer>{"a": 1}</answer>', Wrapping.THINKING),
        ('<|think|>{"a": 0}<|/think|>{"a": 1}', Wrapping.THINKING),
        ('<x:inner_monologue>{"a": 0}</x:inner_monologue>{"a": 1}', Wrapping.THINKING),
        ('<draft>{"a": 0}</draft><final>{"a": 1}</final>', Wrapping.THINKING),
        ('<longcat_think>{"a": 0}</longcat_think>{"a": 1}', Wrapping.THINKING),
        ('<|START_THINKING|>{"a": 0}<|END_THINKING|><|START_RESPONSE|>{"a": 1}<|END_RESPONSE|>', Wrapping.THINKING),
        ('<|channel>thought\n{"a": 0}<channel|>{"a": 1}', Wrapping.THINKING),
        ('<unused94>thought\n{"a": 0}<unused95>{"a": 1}', Wrapping.THINKING),
        (
            '<|channel|>analysis<|message|>{"a": 0}<|end|><|start|>assistant'
            '<|channel|>final <|constrain|>json<|message|>{"a": 1}<|return|>',
            Wrapping.THINKING,
        ),
        ('<|channel|>analysis<|message|>{"a": 0}<|end|><|channel|>commentary<|message|>{"a": 1}', Wrapping.THINKING),
        ('analysisMaybe {"a": 0}.assistantfinal{"a": 1}', Wrapping.THINKING),
        ('Here is my thought process: {"a": 0}\nHere is my response:\n{"a": 1}', Wrapping.THINKING),
        ('> Thinking: {"a": 0}\n> so\n\n{"a": 1}', Wrapping.NONE),
        ('<output>{"a": 1}</output>', Wrapping.WORDS),
        (json.dumps('{"a": 1}'), Wrapping.QUOTED),
        (json.dumps('```json\n{"a": 1}\n```') + "\n", Wrapping.QUOTED),
    ],
)
def test_the_first_object_behind_the_thinking_is_the_answer(text: str, wrapping: Wrapping) -> None:
    assert first_object(text) == WrittenObject('{"a": 1}', wrapping)


ANSWER = '{"label": "BALANCED"}'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"answer": {ANSWER}}}',
        f'From {{"imbalance": 0.2}} I say {ANSWER}',
        f'{{"properties": {{"label": {{"type": "string"}}}}}}\n{ANSWER}',
        f"{{}} {ANSWER} {{}}",
        f'{ANSWER} and not {{"label": "OTHER"}}',
    ],
)
def test_an_object_without_a_label_is_no_answer_where_another_has_one(text: str) -> None:
    assert first_object(text) == WrittenObject(ANSWER, Wrapping.WORDS)


@pytest.mark.parametrize("field", ["answer", "response", "content"])
def test_an_answer_written_as_text_of_a_field_is_taken_out_of_it(field: str) -> None:
    text = json.dumps({"note": "{", field: f" {ANSWER}"})
    assert first_object(f"```json\n{text}\n```") == WrittenObject(ANSWER, Wrapping.QUOTED)


def test_a_line_that_breaks_within_a_sentence_is_a_space() -> None:
    found = first_object('{\n "label": "BALANCED",\n "summary": "calm\nand\tquiet"\n}')
    assert found is not None
    assert json.loads(found.text) == {"label": "BALANCED", "summary": "calm and quiet"}


def test_what_is_said_of_an_answer_in_an_answer_ends_no_thinking() -> None:
    text = '{"label": "BALANCED", "summary": "Here is my answer: assistantfinal calm"}'
    assert first_object(text) == WrittenObject(text, Wrapping.NONE)


@pytest.mark.parametrize(
    "text", ["", "calm", "[1, 2]", '"{"', '{"a": 1', '<think>{"a": 1}', "{" * (MOST_TRIED + 5) + '"a": 1}']
)
def test_what_holds_no_object_has_none(text: str) -> None:
    assert first_object(text) is None


SLOW = {
    '{"a":': 50_000,
    '{"a":"<think>': 9_000,
    "{": 250_000,
    "<think>": 30_000,
    "</think>": 30_000,
    "<think>x": 25_000,
    "<think ": 30_000,
    "<x:": 60_000,
    "<|": 100_000,
    '"': 250_000,
    '"{': 100_000,
    ">": 250_000,
    ">\n": 120_000,
    "<|channel|>final ": 15_000,
    "assistantfinal ": 17_000,
    '{"a":"{",': 25_000,
}


@pytest.mark.parametrize("text", [piece * times for piece, times in SLOW.items()], ids=list(SLOW))
def test_a_text_made_to_be_slow_is_not(text: str) -> None:
    begun_s = time.process_time()
    assert first_object(text) is None
    assert time.process_time() - begun_s < 2.0
