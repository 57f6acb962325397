"""The process that owns the embedded ClickHouse: engine and HTTP interface, until a signal."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from obflow.embedded.clickhouse_engine import Engine
from obflow.embedded.clickhouse_http import MAX_HEADER_BYTES, HttpInterface, is_loopback
from obflow.lifecycle import run_async
from obflow.terminal import say, tell_error
from schemas.errors import EXIT_DONE, PipelineError, UsageError

HOST: Final = "127.0.0.1"
STOP_S: Final = 5.0
DRAIN_S: Final = 3.0
BACKLOG: Final = 128
Ready = Callable[[str, int, str], None]


def serve(data: Path, *, host: str = HOST, port: int = 8123, ready: Ready | None = None) -> None:
    """Serve the engine until SIGTERM or SIGINT.

    Args:
        data: Its data folder; created when missing.
        host: Loopback address to listen on.
        port: Port to listen on; 0 for a free one.
        ready: Told address, port and version once requests are answered; prints them where none is given.

    Raises:
        UsageError: The address is not loopback, or the port is in use.
        DependencyError: chDB is missing, or the folder is in use by another process.
    """
    if not is_loopback(host):
        raise UsageError(
            f"the embedded ClickHouse has no passwords and does not listen on {host}", next_step=f"use {HOST}"
        )
    os.environ["TZ"] = "UTC"  # the engine's time zone is a server's default, not this machine's
    time.tzset()
    said = ready or _say
    with _listen(host, port) as listening:
        engine = Engine(data.absolute())
        all_ended = run_async(lambda stop: _serve(engine, listening, stop, said), shutdown_seconds=STOP_S)
    if all_ended:
        engine.close()
    else:  # a thread is stuck in the engine: what was acknowledged is stored, and nothing else is worth waiting for
        os._exit(EXIT_DONE)


async def _serve(engine: Engine, listening: socket.socket, stop: asyncio.Event, ready: Ready) -> bool:
    interface = HttpInterface(engine)
    runner = web.AppRunner(
        interface.application(),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        handle_signals=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        shutdown_timeout=0.1,
    )
    await runner.setup()
    site = web.SockSite(runner, listening, backlog=BACKLOG)
    await site.start()
    host, port = listening.getsockname()[:2]
    ready(host, port, engine.version)
    await stop.wait()
    await site.stop()
    try:
        return await interface.drain(DRAIN_S)
    finally:
        await runner.cleanup()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageError(
            f"port {port} on {host} cannot be listened on ({error.strerror})",
            next_step="choose another, or 0 for a free one",
        ) from error
    return listening


def _say(host: str, port: int, version: str) -> None:
    say(f"ClickHouse {version} listens on http://{host}:{port}; Ctrl-C stops it")


def main() -> int:
    """Serve as a child of `EmbeddedClickHouse`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m obflow.embedded.clickhouse", description=serve.__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    try:
        serve(arguments.data, port=arguments.port)
    except PipelineError as error:
        tell_error(error)
        return error.exit_code
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
