"""A checkpoint is read as it was written, or refused: never taken for what another wrote."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.worker.changelog import Checkpoint, first_due_s, seal, unseal
from schemas.errors import DecodeError


def test_of_two_checkpoints_of_one_log_the_one_that_has_come_further_counts() -> None:
    older, newer = Checkpoint("k", "abcdefgh", 3, 40, b""), Checkpoint("k", "abcdefgh", 3, 60, b"")

    assert newer.supersedes(older)
    assert newer.supersedes(newer)
    assert not older.supersedes(newer)
    assert Checkpoint("k", "recreate", 3, 0, b"").supersedes(newer)


@given(st.integers(1, 255), st.integers(-1, 2**63 - 1), st.binary(max_size=200))
def test_a_sealed_state_comes_back_as_it_was(layout: int, next_offset: int, state: bytes) -> None:
    assert unseal(layout, next_offset, seal(layout, next_offset, state)) == state


@pytest.mark.parametrize("data", [b"", b"\x01", seal(1, 5, b"")[:-1]])
def test_a_state_without_a_whole_seal_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match=f"a state of {len(data)} bytes"):
        unseal(1, 5, data)


@pytest.mark.parametrize(("written", "read"), [(1, 2), (2, 1), (255, 1)])
def test_a_state_of_another_layout_is_refused_by_number(written: int, read: int) -> None:
    with pytest.raises(DecodeError, match=f"layout {written}, this code reads {read}"):
        unseal(read, 5, seal(written, 5, b"state"))


def test_a_state_that_has_come_to_another_offset_than_its_checkpoint_is_refused() -> None:
    with pytest.raises(DecodeError, match="a checkpoint of 55 with a state of 50"):
        unseal(1, 55, seal(1, 50, b"state"))


def test_a_layout_is_what_it_has_always_been_on_the_broker() -> None:
    """Checkpoints in changelogs outlive the code that wrote them."""
    assert seal(1, 258, b"state") == b"\x01" + bytes(6) + b"\x01\x02state"
    written = Checkpoint("k", "abcdefgh", 7, 258, b"state").to_bytes()
    body = b"\x03abcdefgh\x00\x07" + bytes(6) + b"\x01\x02\x00\x01kstate"
    assert written == body + zlib.crc32(body).to_bytes(4, "big")


@given(st.text(max_size=30))
def test_a_first_checkpoint_is_due_within_the_interval(key: str) -> None:
    assert 100.0 <= first_due_s(key, 100.0, 5.0) < 105.0
