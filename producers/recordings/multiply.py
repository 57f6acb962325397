"""One instrument's records as those of many, at the cost of joining bytes.

Records of an instrument begin with venue and symbol in their Avro schemas; what follows does not depend on them. So a
record is encoded once, and each copy is another beginning before the same rest. A test holds this to `schemas.codec`.
"""

from __future__ import annotations

from producers.books.records import ProducerRecord, payload_of, renamed
from producers.broker.publisher import key_of
from schemas.codec import FRAME
from schemas.messages import DeadLetter


def copy_names(symbol: str, copies: int | None) -> tuple[str, ...]:
    """Name the copies: SYMBOL-01, SYMBOL-02 …; without copies the symbol itself."""
    if copies is None:
        return (symbol,)
    width = max(2, len(str(copies)))
    return tuple(f"{symbol}-{number:0{width}d}" for number in range(1, copies + 1))


class Copier:
    """Writes records under other names.

    Args:
        copies: How many of each instrument; None leaves it as it is.
    """

    def __init__(self, copies: int | None) -> None:
        self._copies = copies
        self._beginnings: dict[tuple[str, str], tuple[bytes, list[tuple[bytes, bytes]]]] = {}

    def of(self, record: ProducerRecord) -> list[tuple[bytes, bytes]]:
        """Give key and payload of each copy."""
        if isinstance(record, DeadLetter):
            names = copy_names(record.symbol, self._copies) if record.symbol else (record.symbol,)
            letters = [record] if self._copies is None else [renamed(record, name) for name in names]
            return [(key_of(letter), payload_of(letter)) for letter in letters]
        payload = payload_of(record)
        if self._copies is None:
            return [(key_of(record), payload)]
        own, copies = self._beginning(record.venue, record.symbol)
        frame, rest = payload[: FRAME.size], payload[FRAME.size + len(own) :]
        return [(key, frame + beginning + rest) for key, beginning in copies]

    def _beginning(self, venue: str, symbol: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        found = self._beginnings.get((venue, symbol))
        if found is None:
            names = copy_names(symbol, self._copies)
            copies = [(f"{venue}:{name}".encode(), avro_string(venue) + avro_string(name)) for name in names]
            found = self._beginnings[venue, symbol] = (avro_string(venue) + avro_string(symbol), copies)
        return found


def avro_string(text: str) -> bytes:
    """Write a string as Avro does: its length in bytes as a zigzag varint, then UTF-8."""
    encoded = text.encode()
    length, varint = len(encoded) << 1, bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    return bytes(varint) + encoded
