"""Logs: structured events on standard error, for people on a terminal and as JSON lines elsewhere.

An event's name is a snake_case noun and its values are fields, never text pasted together. Lines of the libraries below
(the Kafka client, Faust, the WebSocket client) pass through the same handler. Secrets are masked by their field's name
wherever they stand. An event is one line whatever its values hold, and none controls a terminal (`obflow.terminal`).
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO, cast

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from obflow.log_limits import LineLimit, cause_of
from obflow.settings import LogSettings
from obflow.terminal import escape_text, json_text, quoted_lines
from schemas.masking import MASK, mask_credentials

SECRET_NAME = re.compile(r"passw|secret|token|api_?key|authorization|credential", re.IGNORECASE)
MAX_DEPTH = 4
QUOTED_FIELDS = ("exception", "stack")
# What goes wrong in these comes back as an error, which says it better; a failing command prints one sentence.
# (The database client resets the level of `urllib3` itself when it is imported.)
ECHOES = ("urllib3.connectionpool", "clickhouse_connect")


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log line of the process to the stream (standard error where none is given), once and for all."""
    handler = logging.StreamHandler(stream) if stream else _StandardError()
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.ExtraAdder(),
        # As text, and before masking: the library's richer forms print local variables, secrets among them.
        structlog.processors.format_exc_info,
        redact,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(settings, handler.stream),
            ],
        )
    )
    handler.addFilter(_LibraryLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in ECHOES:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.level == "debug" else logging.CRITICAL)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; pass `__name__`."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask every value whose name says it is a secret, and credentials inside addresses."""
    return {name: _masked(name, value, MAX_DEPTH) for name, value in event.items()}


def fit_for_a_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape names and values, so that an event is one line and controls nothing; tracebacks keep theirs."""
    return {escape_text(str(name)): _fitted(name, value) for name, value in event.items()}


class _LibraryLines(logging.Filter):
    """Bounds what libraries say, a line a second and cause; ours are events, and pass."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = LineLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; one after others that were not says how many they were."""
        if isinstance(record.msg, dict):
            return True
        left_out = self._limit.take(cause_of(record.name, record.getMessage()), time.monotonic())
        if left_out:
            record.left_out = left_out
        return left_out is not None


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment: a picture that is being redrawn puts lines above itself."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # an attribute there
        return sys.stderr


class _Shown(str):
    """A value as it is to be written; the renderer would quote, and so escape, it once more."""

    __slots__ = ()
    __repr__ = str.__str__


def _fitted(name: str, value: object) -> object:
    if name in QUOTED_FIELDS:
        return quoted_lines(str(value))
    if not isinstance(value, str):
        return _Shown(escape_text(repr(value)))
    shown = escape_text(value)
    return value if shown == value else _Shown(shown if name == "event" else f"'{shown}'")


def _masked(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401 (a log value may be anything)
    if isinstance(value, SecretStr) or (SECRET_NAME.search(name) and isinstance(value, str | bytes)):
        return MASK
    if isinstance(value, str):
        return mask_credentials(value)
    if depth and isinstance(value, Mapping):
        return {key: _masked(str(key), inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_masked(name, inner, depth - 1) for inner in value]
    return value


def _rendering(settings: LogSettings, target: TextIO) -> list[Processor]:
    on_terminal = target.isatty()
    if settings.format == "console" or (settings.format == "auto" and on_terminal):
        plain = structlog.dev.plain_traceback
        return [
            fit_for_a_line,
            structlog.dev.ConsoleRenderer(
                colors=on_terminal, pad_event_to=0, exception_formatter=plain, timestamp_key="time"
            ),
        ]
    return [structlog.processors.JSONRenderer(serializer=_json)]


def _json(event: EventDict, **_options: object) -> str:
    return json_text(event)
