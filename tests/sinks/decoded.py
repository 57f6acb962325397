"""Records decoded at once, by what this host compiles."""

from functools import cache

from obflow.settings import Settings
from schemas.codec import encode
from schemas.logs import Position
from schemas.messages import FactorRecord
from sinks.batching import Entry
from sinks.blocks import BlockDecoder, BlockRows
from sinks.compilation import Decode, compile_decoder
from tests.sinks.records import entry


@cache
def decode() -> Decode:
    """What is compiled here; that nothing is, is a failure."""
    compiled = compile_decoder(Settings.load().cache)
    assert compiled.decode is not None, compiled.why
    return compiled.decode


def decoder() -> BlockDecoder:
    """A decoder that has seen nothing yet."""
    return BlockDecoder(decode())


def rows_of(*payloads: bytes) -> list[BlockRows | None]:
    """The rows of payloads that are decoded together."""
    return decoder().rows(payloads)


def block_entry(position: Position, record: FactorRecord) -> Entry:
    """The record as the sink would put it into a batch, its rows a span of a block."""
    [rows] = rows_of(encode(record))
    assert rows is not None
    return entry(position, record)._replace(rows=rows)
