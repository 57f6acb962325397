"""Bodies of requests, unpacked to a bound whatever they claim to hold."""

from __future__ import annotations

import io
import zlib
from typing import Final

from embedded.clickhouse_sql import NOT_IMPLEMENTED, QueryRefused

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
TOO_MANY_BYTES: Final = 307
CANNOT_DECOMPRESS: Final = 354


def too_large(limit: int) -> QueryRefused:
    """The refusal of a body.

    Args:
        limit: The most bytes it may have.
    """
    return QueryRefused(TOO_MANY_BYTES, f"The body is larger than {limit} bytes (TOO_MANY_BYTES)")


def decompress(body: bytes, encoding: str, limit: int = MAX_BODY_BYTES) -> bytes:
    """Undo a body's Content-Encoding.

    Args:
        body: As it arrived.
        encoding: gzip, deflate, lz4 (frames), zstd, or none.
        limit: The most bytes it may become.

    Raises:
        QueryRefused: Another encoding, not of this encoding, or too large.
    """
    if encoding in ("", "identity"):
        return body
    try:
        plain = _inflate(body, encoding, limit)
    except (OSError, EOFError, RuntimeError, zlib.error) as error:
        raise QueryRefused(CANNOT_DECOMPRESS, f"The body is not {encoding}: {error}") from None
    if len(plain) > limit:
        raise too_large(limit)
    return plain


def _inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """At most one byte more than the limit, whatever the body claims to hold."""
    if encoding in ("gzip", "deflate"):
        inflater = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
        plain = inflater.decompress(body, limit + 1)
        if len(plain) <= limit and (not inflater.eof or inflater.unused_data):
            raise EOFError("it does not end where its data end")
        return plain
    if encoding == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        with lz4.frame.LZ4FrameFile(io.BytesIO(body)) as stream:
            return bytes(stream.read(limit + 1))
    if encoding == "zstd":
        from backports import zstd

        try:
            with zstd.ZstdFile(io.BytesIO(body)) as stream:
                return bytes(stream.read(limit + 1))
        except zstd.ZstdError as error:
            raise OSError(str(error)) from None
    raise QueryRefused(NOT_IMPLEMENTED, f"Content-Encoding {encoding!r} is not in the embedded engine")
