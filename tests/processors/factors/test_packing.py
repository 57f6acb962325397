import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.factors.packing import Packer, Unpacker
from schemas.errors import DecodeError

NATURALS = st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 300))
EDGES = sorted({(1 << power) + step for power in range(0, 63, 7) for step in (-1, 0)} | {2**63 - 1})


@given(st.integers(), st.integers() | st.none(), st.text(), st.floats(allow_nan=False) | st.none(), NATURALS)
def test_what_is_written_is_read_back(
    number: int, maybe: int | None, text: str, double: float | None, naturals: list[int]
) -> None:
    out = Packer()
    out.integer(number)
    out.optional_integer(maybe)
    out.text(text)
    out.optional_double(double)
    out.naturals(naturals)
    out.naturals(EDGES)
    fields = Unpacker(out.bytes())
    assert (fields.integer(), fields.optional_integer(), fields.text()) == (number, maybe, text)
    assert (fields.optional_double(), fields.naturals(), fields.naturals()) == (double, naturals, EDGES)
    fields.end()


@given(NATURALS, st.integers(0, 100))
def test_many_integers_cut_short_are_refused(naturals: list[int], at: int) -> None:
    out = Packer()
    out.naturals(naturals)
    data = out.bytes()
    if at < len(data):
        with pytest.raises(DecodeError):
            Unpacker(data[:at]).naturals()


def test_an_integer_takes_a_byte_for_each_seven_bits() -> None:
    out = Packer()
    out.naturals([127, 128, 16_383, 16_384])
    assert len(out.bytes()) == 1 + 1 + 2 + 2 + 3


@pytest.mark.parametrize("data", [b"\x02" + b"\x80" * 9 + b"\x01", b"\x01"])
def test_a_number_beyond_int64_and_a_negative_count_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Unpacker(data).naturals()


def test_a_text_that_is_no_text_is_refused() -> None:
    with pytest.raises(DecodeError):
        Unpacker(b"\x02\xff").text()


def test_a_code_beyond_its_options_is_refused() -> None:
    assert Unpacker(b"\x02").choice("ab") == "b"
    for data in (b"\x04", b"\x01"):
        with pytest.raises(DecodeError):
            Unpacker(data).choice("ab")
