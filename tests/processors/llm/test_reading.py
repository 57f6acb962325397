"""A log that somebody obeys is read on, whatever happens to its client."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

import pytest

from obflow.following import Followed
from obflow.whole_log import Logged
from processors.llm import reading
from processors.llm.reading import LogReader, decoded
from processors.rollout.machine import first_state
from schemas.codec import decode, encode
from schemas.errors import BrokerUnreachable
from tests.support.patience import patient
from tests.support.waiting import eventually


def test_a_reader_goes_on_behind_what_it_had_after_any_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "AGAIN_S", 0.01)
    begun: list[dict[int, int]] = []
    taken: list[int] = []

    def follow(offsets: Mapping[int, int], stopped: threading.Event) -> Iterator[Followed]:
        begun.append(dict(offsets))
        if len(begun) == 1:
            raise BrokerUnreachable("away")
        yield Followed([Logged(0, len(begun), b"")], len(begun) > 2)
        if len(begun) == 2:
            raise RuntimeError("the client's own")
        stopped.wait(patient(5))

    def take(records: Iterable[Logged]) -> None:
        taken.extend(logged.offset for logged in records)

    reader = LogReader("test", follow, lambda: {0: 1}, take)
    reader.start()
    assert eventually(lambda: reader.is_current, patient(5))
    reader.stop()
    assert begun == [{0: 1}, {0: 1}, {0: 3}]
    assert taken == [2, 3]


def test_what_is_no_record_is_passed_over() -> None:
    state = first_state(("blue",))
    assert list(decoded([Logged(0, 0, b"no record"), Logged(0, 1, encode(state))], decode)) == [state]
