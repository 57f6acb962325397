"""Instruments that the language model is never asked about: told once each, in the log, as a row and in a gauge.

A name that is not plain ASCII could carry instructions, so it never reaches a prompt. The rules judge its windows all
the same.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final, Protocol

from obflow.logs import get_logger
from obflow.metrics import Metrics
from processors.regimes.prompt import is_plain_name
from processors.regimes.state import Closed
from schemas.messages import CallOutcome, InstrumentKey, LlmCall

log = get_logger(__name__)

WHY: Final = "its name is too long, or holds characters that may not stand in a prompt: the rules alone judge it"


class AskedOf(Protocol):
    """Whom to ask, as rows name it."""

    @property
    def endpoint(self) -> str:
        """The address."""

    @property
    def model(self) -> str:
        """The model."""

    @property
    def arm(self) -> str:
        """The arm."""


class Unasked:
    """Those of one worker.

    Args:
        asked: Whom to ask.
        send: Sends a row.
        metrics: What is counted.
    """

    def __init__(self, asked: AskedOf, send: Callable[[LlmCall], None], metrics: Metrics) -> None:
        self._asked = asked
        self._send = send
        self._gauge = metrics.gauge("obflow_llm_unasked_instruments", reason="name")
        self._told: set[InstrumentKey] = set()

    def tell_once(self, instrument: InstrumentKey, closed: Closed) -> None:
        """Say that an instrument is not asked about, with the first of its windows that closes."""
        is_plain = is_plain_name(instrument.venue) and is_plain_name(instrument.symbol)
        if is_plain or instrument in self._told:
            return
        self._told.add(instrument)
        self._gauge.set(len(self._told))
        log.warning("instrument_not_asked_about", venue=instrument.venue, symbol=instrument.symbol, cause=WHY)
        self._send(self._row(instrument, closed))

    def _row(self, instrument: InstrumentKey, closed: Closed) -> LlmCall:
        return LlmCall(
            venue=instrument.venue,
            symbol=instrument.symbol,
            feed_source=closed.feed_source,
            call_id=uuid.uuid4().hex,
            attempt=0,
            window_end_ns=closed.window.end_ns,
            started_ns=time.time_ns(),
            outcome=CallOutcome.NOT_ASKED,
            endpoint=self._asked.endpoint,
            model=self._asked.model,
            prompt_version="",
            prompt_hash="",
            request_hash="",
            latency_ms=0.0,
            detail=WHY,
            decided_ns=closed.received_ns,
            run=closed.run,
            arm=self._asked.arm,
        )
