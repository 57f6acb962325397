"""An endpoint is asked for as much as it takes, and what it lacks is found out once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.shapes import BY_LOSS, FULL, RequestShape, Ways, varied
from processors.regimes.prompt import Prompt


@pytest.mark.parametrize(
    ("said", "next_one"),
    [
        ("Unsupported value: 'temperature' does not support 0 with this model.", FULL._replace(temperature=False)),
        ("Unrecognized request argument: max_completion_tokens", FULL._replace(limit="max_tokens")),
        ("Invalid schema for response_format 'regime': 'maxLength' is not permitted", FULL._replace(format="object")),
        ("failed to parse grammar", FULL._replace(format="object")),
        ("guided_json is not supported", FULL._replace(format="object")),
        ("code: json_validate_failed, Failed to generate JSON.", FULL._replace(format="object")),
        ("System role not supported", FULL._replace(roles=False)),
        ("Conversation roles must alternate user/assistant/user/assistant/...", FULL._replace(roles=False)),
        ("Developer instruction is not enabled for models/small", FULL._replace(roles=False)),
        ("This model only support stream mode, please enable the stream parameter", FULL._replace(stream=True)),
        ("parameter.enable_thinking must be set to false for non-streaming calls", FULL._replace(stream=True)),
        ("4000 > 2048, the maximum allowed number of output tokens", FULL._replace(limit="max_tokens")),
    ],
)
def test_what_a_refusal_names_is_left_out_and_nothing_else(said: str, next_one: RequestShape) -> None:
    assert varied(FULL, said) == next_one


def test_a_limit_that_is_named_but_was_not_sent_is_not_what_is_lacking() -> None:
    older = FULL._replace(limit="max_tokens", temperature=False)
    assert varied(older, "no max_completion_tokens, no response_format") == older._replace(format="object")


def test_a_refusal_without_a_name_leaves_out_one_thing_after_the_other() -> None:
    ways, shape, asked = Ways(), FULL, [FULL]
    while (less := ways.refused(shape, "bad request")) is not None:
        shape = less
        asked.append(shape)
    assert asked == list(BY_LOSS)
    assert set(asked[1:4]) == {
        FULL._replace(format="object"),
        FULL._replace(temperature=False),
        FULL._replace(limit="max_tokens"),
    }


@given(st.sampled_from(BY_LOSS), st.booleans())
def test_whatever_an_endpoint_lacks_is_found_out_and_remembered(taken: RequestShape, names: bool) -> None:
    """It takes what asks for no more than `taken` does."""
    ways, shape = Ways(), FULL
    for _ in range(len(BY_LOSS)):
        lacks = lacking(shape, taken)
        if not lacks:
            break
        less = ways.refused(shape, f"no {lacks[0]}" if names else "no")
        assert less is not None
        shape = less
    assert not lacking(shape, taken)
    ways.worked(shape)
    assert ways.best == shape


def lacking(shape: RequestShape, taken: RequestShape) -> list[str]:
    """What a way asks for that an endpoint lacks."""
    forms = ("none", "object", "schema")
    lacks = ["response_format"] if forms.index(shape.format) > forms.index(taken.format) else []
    lacks += ["temperature"] if shape.temperature and not taken.temperature else []
    return lacks + ([shape.limit] if shape.limit and shape.limit != taken.limit else [])


def test_one_failure_does_not_cost_the_schema_two_do() -> None:
    ways = Ways()
    less = ways.failed(FULL)
    assert less == FULL._replace(format="object")
    ways.worked(less)
    assert ways.best == FULL
    ways.worked(FULL)
    ways.worked(less)
    assert ways.best == FULL
    ways.worked(less)
    assert ways.best == less


def test_a_failure_leaves_out_another_thing_each_time_until_something_works() -> None:
    """Five requests, before an endpoint is left alone."""
    ways, asked = Ways(), [FULL]
    for _ in range(4):
        asked.append(ways.failed(asked[-1], "internal error"))
    assert asked == [
        FULL,
        FULL._replace(format="object"),
        FULL._replace(format="none"),
        *(FULL._replace(limit="max_tokens"), FULL._replace(temperature=False)),
    ]
    ways.worked(asked[-1])
    assert ways.first == FULL
    assert ways.failed(FULL) == asked[-1], "what worked after a failure is tried before others"


def test_a_question_after_nothing_but_failures_goes_on_where_the_last_one_ended() -> None:
    ways = Ways()
    second = ways.failed(FULL)
    third = ways.failed(second)
    assert ways.first == third
    assert ways.failed(FULL, "no response_format, no temperature") == FULL._replace(temperature=False)


def test_where_every_way_was_refused_all_may_be_tried_again() -> None:
    ways = Ways()
    for shape in BY_LOSS:
        ways.refused(shape, "no")
    assert ways.refused(FULL, "temperature") == FULL._replace(temperature=False)


def test_the_limit_has_the_name_that_is_asked_for() -> None:
    assert RequestShape("none", temperature=False, limit="max_tokens").fields(7) == {"max_tokens": 7}
    assert RequestShape("none", temperature=False, limit="").fields(7) == {}
    assert FULL.fields(7).keys() == {"response_format", "temperature", "max_completion_tokens"}


def test_how_messages_go_is_varied_where_it_is_named_and_stays_so() -> None:
    ways = Ways()
    assert ways.refused(FULL, "bad request") == FULL._replace(limit="max_tokens")
    one_message = ways.refused(FULL._replace(limit="max_tokens"), "system role is not supported")
    assert one_message == FULL._replace(limit="max_tokens", roles=False)
    streamed = ways.refused(one_message, "only stream mode")
    assert streamed == one_message._replace(stream=True)
    less = ways.refused(streamed, "bad request")
    assert less is not None
    assert (less.roles, less.stream) == (False, True)
    ways.worked(less)
    assert ways.best == less
    assert streamed.name == "schema temperature one-message streamed max_tokens"


def test_a_new_question_leaves_out_what_was_named_and_tries_again_what_was_guessed() -> None:
    named, guessed = Ways(), Ways()
    assert named.refused(FULL, "no temperature") == named.first == FULL._replace(temperature=False)
    assert guessed.refused(FULL, "bad request") != guessed.first
    assert guessed.first == FULL


def test_no_limit_at_all_is_no_way_to_begin_before_it_has_worked() -> None:
    ways, older = Ways(), FULL._replace(limit="max_tokens")
    assert ways.refused(FULL, "no max_completion_tokens") == older == ways.first
    assert ways.refused(older, "no max_tokens") == older._replace(limit="")
    assert ways.first == older
    ways.worked(older._replace(limit=""))
    assert ways.first == older._replace(limit="")


def test_the_instructions_stand_in_a_message_of_their_own_or_before_the_question() -> None:
    prompt = Prompt("Do this.", '{"a":1}', "v9", "hash")
    assert [each["role"] for each in FULL.messages(prompt)] == ["system", "user"]
    [only] = FULL._replace(roles=False).messages(prompt)
    assert only == {"role": "user", "content": 'Do this.\n{"a":1}'}


def test_a_stream_is_asked_for_with_its_usage() -> None:
    assert FULL._replace(stream=True).fields(7)["extra_body"] == {
        "stream": True,
        "stream_options": {"include_usage": True},
    }
