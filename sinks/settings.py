"""What of sinks can be set. Registered in `pyproject.toml` as the section `sink`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from obflow.settings import Seconds, Section

Rows = Annotated[int, Field(ge=1, le=500_000)]  # with a poll on top still one atomic insert: the engine takes 1,048,449


class SinkSettings(Section):
    """Writers from topics into tables."""

    POSITION: ClassVar = 40

    group: str = Field(default="obflow-sink", pattern=r"^[A-Za-z0-9._-]+$")
    """Consumer group that shows how far the tables are; nobody reads back what is committed to it."""
    flush_rows: Rows = 20_000
    """A batch of this size is written at once."""
    flush_seconds: Seconds = 1.0
    """A smaller batch is written after this time."""
    max_buffered_rows: Rows = 100_000
    """Rows held while the database does not answer, half of them for one insert; then reading pauses."""
    ttl_days: Annotated[int, Field(ge=0)] = 0
    """Age at which rows are deleted; 0 keeps them."""
