"""The canonical digest covers what must not change and nothing else."""

import pytest

from schemas.digest import EventDigest, digest
from schemas.factors import FACTORS, NO_FACTORS
from schemas.messages import FactorEvent, Status

EVENT = FactorEvent(9, 5, 100, Status.OK, (0.0, *NO_FACTORS[1:]), exchange_ns=7)


def _changed(**changes: object) -> FactorEvent:
    fields = {name: getattr(EVENT, name) for name in EVENT.__struct_fields__}
    return FactorEvent(**{**fields, **changes})


@pytest.mark.parametrize(
    "other",
    [
        _changed(sequence=6),
        _changed(exchange_ns=None),
        _changed(exchange_ns=0),
        _changed(received_ns=101),
        _changed(status=Status.THIN),
        _changed(values=(-0.0, *NO_FACTORS[1:])),
        _changed(values=(None, *NO_FACTORS[1:])),
        _changed(values=(None, 0.0, *NO_FACTORS[2:])),
    ],
    ids=[
        "sequence",
        "no exchange time",
        "exchange time 0",
        "received",
        "status",
        "sign of zero",
        "null",
        "which factor",
    ],
)
def test_the_digest_sees_every_canonical_field(other: FactorEvent) -> None:
    assert digest([other]) != digest([EVENT])


def test_the_digest_ignores_where_the_record_lay() -> None:
    assert digest([_changed(source_offset=1)]) == digest([EVENT])


def test_order_matters_and_cutting_the_stream_does_not() -> None:
    events = [_changed(sequence=n, values=tuple(float(n) for _ in FACTORS)) for n in range(5)]
    piecewise = EventDigest()
    for event in events:
        piecewise.update(event)
    assert piecewise.hexdigest() == digest(events)
    assert piecewise.events == 5
    assert digest(reversed(events)) != digest(events)
