"""In which partition a key belongs: Kafka's own hash of keys, which all of our clients use (`obflow/kafka.py`).

The pure part needs it to tell a record that lies where nobody reads it, so it stands here: the clients' own is part of
clients that know a broker. A test holds the two to the same answers.
"""

from __future__ import annotations

from functools import lru_cache
from struct import iter_unpack
from typing import Final

SEED: Final = 0x9747B28C
MIX: Final = 0x5BD1E995
WORD: Final = 0xFFFFFFFF


@lru_cache(maxsize=16_384)
def partition_of(key: str, partitions: int) -> int:
    """Find the partition a key belongs in.

    Args:
        key: As written: `venue:symbol`.
        partitions: How many the topic has.
    """
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash bytes as Kafka does (`org.apache.kafka.common.utils.Utils.murmur2`), 32 bits, unsigned."""
    whole = len(data) & ~3
    found = SEED ^ len(data)
    for (word,) in iter_unpack("<I", data[:whole]):
        mixed = word * MIX & WORD
        mixed = (mixed ^ mixed >> 24) * MIX & WORD
        found = (found * MIX & WORD) ^ mixed
    rest = data[whole:]
    if rest:
        found = (found ^ int.from_bytes(rest, "little")) * MIX & WORD
    found = (found ^ found >> 13) * MIX & WORD
    return found ^ found >> 15
