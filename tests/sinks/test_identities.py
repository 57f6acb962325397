"""What is stored is dropped, what is new is kept, whatever a processor sends again."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.logs import Position
from schemas.messages import InstrumentKey
from sinks.contract import Row, Stream
from sinks.identities import Identities
from sinks.tables import TABLES
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import SOURCE_LOG, factors

FACTORS = TABLES["factors"]
HERE = Position("factlogf", 0, 0)


def rows(symbol: str, offsets: list[int], **where: object) -> list[Row]:
    return FACTORS.rows(factors(symbol, offsets, **where), HERE)  # type: ignore[arg-type] # partition or log


def offsets(found: list[Row]) -> list[int]:
    return [FACTORS.source_offset(row) for row in found]


def stream(symbol: str) -> Stream:
    return Stream(InstrumentKey("binance-futures", symbol), SOURCE_LOG, 0)


def test_events_up_to_the_highest_stored_are_repeated() -> None:
    found = Identities(FACTORS, {stream("X"): 5}).sort(rows("X", [4, 5, 6, 7]))

    assert offsets(found.new) == [6, 7]
    assert offsets(found.repeated) == [4, 5]


def test_streams_do_not_know_each_other() -> None:
    identities = Identities(FACTORS, {stream("X"): 5})

    assert offsets(identities.sort(rows("Y", [1])).new) == [1]
    assert offsets(identities.sort(rows("X", [1], partition=1)).new) == [1]
    assert offsets(identities.sort(rows("X", [1], source_log="anotherl")).new) == [1]


def test_noting_a_row_never_lowers_what_is_known() -> None:
    identities = Identities(FACTORS, {stream("X"): 5})
    identities.note(rows("X", [2]))
    assert offsets(identities.sort(rows("X", [4, 6])).new) == [6]

    identities.note(rows("X", [9]))
    assert offsets(identities.sort(rows("X", [8, 10])).new) == [10]


def test_letters_are_the_engines_to_replace() -> None:
    table = TABLES["dead_letters"]
    identities = Identities(table, {})
    letter = table.rows(load(EXAMPLES / "dead-letters/v1/frame.json"), HERE)

    assert identities.sort(letter).new == letter
    assert identities.sort(letter).new == letter


@given(st.data())
def test_any_packing_and_any_replays_leave_each_event_once_in_order(data: st.DataObject) -> None:
    """A worker may at any point go back to any earlier event and pack what follows otherwise."""
    identities = Identities(FACTORS, {})
    stored: list[int] = []
    end, position = 30, 0
    for _ in range(data.draw(st.integers(0, 8), label="crashes")):
        position = _send(identities, stored, position, data.draw(st.integers(position, end), label="until"), data)
        position = data.draw(st.integers(0, position), label="back to")
    _send(identities, stored, position, end, data)

    assert stored == list(range(end))


def _send(identities: Identities, stored: list[int], start: int, end: int, data: st.DataObject) -> int:
    while start < end:
        size = data.draw(st.integers(1, 7), label="events")
        chunk = list(range(start, min(start + size, end)))
        stored += offsets(identities.sort(rows("X", chunk)).new)
        start = chunk[-1] + 1
    return end
