"""Values of `l2.v1` to rows: batches of deltas by compiled code, the rest by the codec."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from processors.contract import decode_each
from processors.factors.kernel.columns import DeltaIdentity, DeltaRow, Row, rows_of
from processors.factors.kernel.decode import FIELDS, SCHEMA_ID, SLOW, DecodedDeltas, decode_deltas
from schemas.codec import decode_as, field_names
from schemas.errors import MessageError
from schemas.messages import L2Record
from schemas.versions import newest

MOST_IDENTITIES = 4_096
"""Remembered at once; then the memory starts afresh."""

Found = Row | MessageError


class Payloads:
    """Decodes values, and remembers whose texts it has seen: a text is judged by the codec, once."""

    def __init__(self) -> None:
        self._identities: dict[bytes, DeltaIdentity] = {}
        self._is_bound = newest("l2").schema_id == SCHEMA_ID and field_names(SCHEMA_ID) == FIELDS

    def decode(self, payloads: Sequence[bytes | None]) -> list[Found]:
        """Decode values, one result each."""
        if not self._is_bound:
            return _by_codec(payloads)
        whole = [payload or b"" for payload in payloads]
        data = b"".join(whole)
        ends = np.cumsum(np.fromiter(map(len, whole), dtype=np.int64, count=len(whole)))
        decoded = decode_deltas(np.frombuffer(data, dtype=np.uint8), ends)
        rows: list[Found | None] = self._rows(decoded, data, payloads)
        left = [at for at, row in enumerate(rows) if row is None]
        for at, row in zip(left, _by_codec([payloads[at] for at in left]), strict=True):
            rows[at] = row
        return rows  # type: ignore[return-value] # none is None any more

    def _rows(self, decoded: DecodedDeltas, data: bytes, payloads: Sequence[bytes | None]) -> list[Found | None]:
        """Make a row of each delta whose texts are known to be good."""
        alike, known = decoded.alike.tolist(), dict[int, DeltaIdentity | None]()
        for first in {*alike} - {SLOW}:
            known[first] = self._identity(decoded.texts[first].tolist(), data, payloads[first])
        identities = [known.get(first) for first in alike]
        return [None if whose is None else DeltaRow(decoded.deltas, at, whose) for at, whose in enumerate(identities)]

    def _identity(self, texts: list[int], data: bytes, payload: bytes | None) -> DeltaIdentity | None:
        key = data[texts[0] : texts[1]] + data[texts[2] : texts[3]] + data[texts[4] : texts[5]]
        if key not in self._identities:
            [record] = decode_each(partial(decode_as, L2Record), [payload])
            if not isinstance(record, L2Record):
                return None
            if len(self._identities) >= MOST_IDENTITIES:
                self._identities.clear()
            self._identities[key] = DeltaIdentity.of(record)
        return self._identities[key]


def _by_codec(payloads: Sequence[bytes | None]) -> list[Found]:
    """Decode values one by one, and put the deltas among them into columns."""
    found = decode_each(partial(decode_as, L2Record), payloads)
    records = [record for record in found if isinstance(record, L2Record)]
    rows = iter(rows_of(records))
    return [next(rows) if isinstance(record, L2Record) else record for record in found]
