"""Rows of regimes and calls say what their records say, and each judge's rows rise on their own."""

import math

import msgspec
import pytest

from schemas.codec import encode
from schemas.errors import ImpossibleRecord
from schemas.logs import Position
from schemas.messages import InstrumentKey, LlmCall, RegimeEvent, RegimeSource
from sinks.contract import Stream
from sinks.identities import Identities
from sinks.tables import TABLES
from tests.schemas.examples import EXAMPLES, load

POSITION = Position("aaaaaaaa", 3, 17)
REGIMES, CALLS = TABLES["regimes"], TABLES["llm_calls"]
BTC = InstrumentKey("binance-futures", "BTCUSDT")


def regime(name: str, **changes: object) -> RegimeEvent:
    record = load(EXAMPLES / f"regimes/v3/{name}.json")
    assert isinstance(record, RegimeEvent)
    return msgspec.structs.replace(record, **changes)


@pytest.mark.parametrize("name", ["rule", "llm", "warming_up"])
def test_a_regime_row_carries_every_field_under_its_name(name: str) -> None:
    record = regime(name)
    [row] = REGIMES.rows(record, POSITION)
    values = dict(zip([column.name for column in REGIMES.row_columns], row, strict=True))
    fields = {field.removesuffix("_ns"): value for field, value in msgspec.structs.asdict(record).items()}
    fields["decided_at"] = fields.pop("decided")
    assert values == {**fields, "stream": "rule" if record.source is RegimeSource.RULE else "llm"}


def test_the_arms_that_judged_one_window_are_streams_of_their_own() -> None:
    rows = [row for arm in ("", "blue", "green") for row in REGIMES.rows(regime("llm", arm=arm), POSITION)]
    assert [REGIMES.stream(row).kind for row in rows] == ["llm", "llm blue", "llm green"]
    identities = Identities(REGIMES, {})
    assert [identities.sort([row]).new for row in rows] == [[row] for row in rows]


def test_the_rules_and_the_models_judgement_of_one_window_are_two_streams() -> None:
    [rule], [llm] = REGIMES.rows(regime("rule"), POSITION), REGIMES.rows(regime("llm"), POSITION)
    assert REGIMES.stream(rule) == Stream(BTC, "kX3f9QaZ", 7, "rule")
    assert REGIMES.stream(llm) == Stream(BTC, "kX3f9QaZ", 7, "llm")
    identities = Identities(REGIMES, {})
    assert identities.sort([rule]).new == [rule]
    assert identities.sort([llm]).new == [llm]
    assert identities.sort([rule]).repeated == [rule]
    assert identities.sort(REGIMES.rows(regime("rule", source_offset=4712), POSITION)).new


@pytest.mark.parametrize("name", ["direction", "score", "p_up", "order_flow"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_makes_a_regime_impossible(name: str, bad: float) -> None:
    with pytest.raises(ImpossibleRecord, match=name):
        REGIMES.read(encode(regime("llm", **{name: bad})), POSITION)


def test_a_call_row_carries_every_field_and_is_identified_by_where_it_lies() -> None:
    record = load(EXAMPLES / "llm-calls/v5/timeout.json")
    assert isinstance(record, LlmCall)
    [row] = CALLS.rows(record, POSITION)
    values = dict(zip([column.name for column in CALLS.row_columns], row, strict=True))
    fields = msgspec.structs.asdict(record)
    times = {"window_end": "window_end_ns", "started_at": "started_ns", "decided_at": "decided_ns"}
    named = {**{name: fields.pop(field) for name, field in times.items()}, **fields}
    assert values == {**named, "source_log": "aaaaaaaa", "source_partition": 3, "source_offset": 17}
    assert CALLS.stream(row) == Stream(BTC, "aaaaaaaa", 3)
