"""What the version before wrote is taken over: its books go on, and what it did not know begins with the next record.

`before/` holds the bytes that its engines made of the first records below.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from processors.factors import ENGINES
from processors.factors.conversion import readable_by
from processors.worker.changelog import seal, unseal
from schemas.errors import DecodeError
from schemas.factors import FACTOR_INDEX, FACTOR_NAMES
from schemas.messages import ContractKind, L2Record
from tests.processors.feed import THIN_NOTIONAL, Feed

FOLDER = Path(__file__).parent / "before"
READ = 40
LAYOUTS = {"reference": 2, "kernel": 3}
OF_TRADES = ("trade_", "mlofi_", "rv_", "bipower_", "effective_", "kyle_", "vpin_", "integrated_")
OF_THE_WHOLE_PAST = {"kyle_lambda_60s", "vpin_exact"}
"""What depends on more than its window: on every bar there is, and on where the first bucket began."""
EACH = pytest.mark.parametrize(("written", "read"), list(product(LAYOUTS, repeat=2)))


def records() -> list[L2Record]:
    """A minute and a half of one book, ten times in three seconds, with trades."""
    random, feed = Random(11), Feed(("0.1", "0.01", "1", ContractKind.LINEAR))
    found = [feed.snapshot([(9_990 - n, 50) for n in range(30)], [(10_010 + n, 50) for n in range(30)])]
    for number in range(1, 300):
        trades = [(random.randrange(9_980, 10_020), random.choice((-7, 5, 900)))] if random.random() < 0.6 else []
        bids, asks = [(9_979 + random.randrange(20), 1 + random.randrange(90))], [(10_001 + random.randrange(20), 3)]
        found.append(feed.delta(bids, asks, at=300 * number, trades=trades))
    return found


def loaded(written: str, read: str, data: bytes) -> tuple[Any, Any]:
    """An engine, and the state it makes of older bytes, its own or another's."""
    engine = ENGINES[read](THIN_NOTIONAL)
    return engine, engine.load(readable_by(type(engine), ENGINES)[LAYOUTS[written]](data))


def older(name: str) -> bytes:
    return bytes.fromhex((FOLDER / f"{name}.{LAYOUTS[name]}.hex").read_text())


@EACH
def test_a_book_of_the_version_before_goes_on_without_a_gap(written: str, read: str) -> None:
    engine, state = loaded(written, read, older(written))
    whole, found = ENGINES["reference"](THIN_NOTIONAL), records()
    expected = whole.step(whole.fresh(), range(len(found)), found).events()[READ:]
    events = engine.step(state, range(READ, len(found)), engine.rows(found[READ:])).events()
    known = [FACTOR_INDEX[factor] for factor in FACTOR_NAMES if not factor.startswith(OF_TRADES)]
    new = [FACTOR_INDEX[factor] for factor in FACTOR_NAMES if factor.startswith(OF_TRADES)]
    later = [place for place in new if FACTOR_NAMES[place] not in OF_THE_WHOLE_PAST]

    assert [event.status for event in events] == [event.status for event in expected]
    for event, wanted in zip(events, expected, strict=True):
        assert [event.values[place] for place in known] == [wanted.values[place] for place in known]
        assert all(event.values[place] in (None, wanted.values[place]) for place in later)
    assert all(events[0].values[place] is None for place in new)
    assert [events[-1].values[place] for place in later] == [expected[-1].values[place] for place in later]


@EACH
def test_what_was_taken_over_is_written_in_the_new_layout(written: str, read: str) -> None:
    engine, state = loaded(written, read, older(written))
    again = engine.load(engine.dump(state))
    assert engine.dump(again) == engine.dump(state)


@EACH
def test_an_older_checkpoint_that_is_cut_is_an_error(written: str, read: str) -> None:
    data = older(written)
    for length in range(0, len(data), 7):
        with pytest.raises(DecodeError):
            loaded(written, read, data[:length])


@EACH
def test_older_bytes_are_not_taken_for_new_ones(written: str, read: str) -> None:
    with pytest.raises(DecodeError):
        ENGINES[read](THIN_NOTIONAL).load(older(written))


def test_a_layout_that_no_engine_writes_is_refused_before_anything_of_it_is_read() -> None:
    reader = ENGINES["kernel"]
    with pytest.raises(DecodeError, match="layout 9"):
        unseal(reader.layout, READ, seal(9, READ, older("kernel")), readable_by(reader, ENGINES))
