"""The process that owns the embedded ClickHouse: engine and HTTP interface, until a signal."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from embedded import clickhouse_folder, sandbox
from embedded.clickhouse_access import is_loopback
from embedded.clickhouse_connections import KEEP_ALIVE_S, Connections
from embedded.clickhouse_engine import ChdbEngine
from embedded.clickhouse_folder import lock_folder
from embedded.clickhouse_http import MAX_HEADER_BYTES, HttpInterface
from obflow import engine_tokens
from obflow.engine_tokens import EngineTokens
from obflow.lifecycle import run_async
from obflow.terminal import say, tell, tell_error
from schemas.errors import EXIT_DONE, DependencyError, PipelineError, UsageError

HOST: Final = "127.0.0.1"
STOP_S: Final = 5.0
DRAIN_S: Final = 3.0
BACKLOG: Final = 128
PRIVATE: Final = 0o077  # what nobody else may do with files this process writes
Ready = Callable[[str, int, str], None]


def serve(data: Path, *, host: str = HOST, port: int = 8123, ready: Ready | None = None) -> None:
    """Serve the engine until SIGTERM or SIGINT. The process is of no use for anything else afterwards.

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
        raise UsageError(f"the embedded ClickHouse does not listen on {host}", next_step=f"use {HOST}")
    folder = data.absolute()
    with ExitStack() as held:
        listening = held.enter_context(_listen(host, port))
        held.enter_context(lock_folder(folder))
        tokens = _prepare(folder, listening.getsockname()[1])
        _enter(folder)
        engine = ChdbEngine(folder)
        served = run_async(lambda stop: _serve(engine, tokens, listening, stop, ready or _say), shutdown_seconds=STOP_S)
        _tell("the embedded ClickHouse stops, as a signal asked it to")
        if not served:  # a thread is stuck in the engine: what was acknowledged is stored, nothing is worth waiting for
            os._exit(EXIT_DONE)
        engine.close()


def _prepare(folder: Path, port: int) -> EngineTokens:
    os.umask(PRIVATE)
    try:
        clickhouse_folder.prepare(folder)
        tokens = engine_tokens.make(folder)
    except OSError as error:
        raise DependencyError(
            f"the data folder {folder} cannot be used ({error.strerror})", next_step="choose another folder"
        ) from error
    try:
        engine_tokens.announce(port, folder)
    except OSError as error:
        _tell(
            f"no command finds this engine's token by itself ({error.strerror or error}); set "
            f"clickhouse.password_file to {folder / engine_tokens.WRITER_FILE}"
        )
    return tokens


def _enter(folder: Path) -> None:
    """Make the folder the only place there is, before the engine is loaded and its threads start."""
    os.environ["TZ"] = "UTC"  # the engine's time zone is a server's default, not this machine's
    time.tzset()
    # The library looks for configuration and room where it was started and at home, as it is loaded.
    os.environ["TMPDIR"] = str(folder / "tmp")
    os.environ["HOME"] = str(folder / clickhouse_folder.NOTHING)
    os.chdir(folder / clickhouse_folder.NOTHING)
    read = [folder / name for name in clickhouse_folder.READ_BY_ENGINE]
    for sentence in sandbox.close_off(read_and_written=read, written=folder):
        _tell(f"the embedded ClickHouse is not closed off: {sentence}")


async def _serve(
    engine: ChdbEngine, tokens: EngineTokens, listening: socket.socket, stop: asyncio.Event, ready: Ready
) -> bool:
    interface, connections = HttpInterface(engine, tokens), Connections()
    application = interface.application()
    application.middlewares.append(connections.hear)
    runner = web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        handle_signals=False,
        keepalive_timeout=KEEP_ALIVE_S,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        shutdown_timeout=0.1,
    )
    await runner.setup()
    if runner.server is None:
        raise AssertionError("a runner that was set up has a server")
    accepting = await asyncio.get_running_loop().create_server(
        connections.protocols_of(runner.server), sock=listening, backlog=BACKLOG
    )
    host, port = listening.getsockname()[:2]
    ready(host, port, engine.version)
    await stop.wait()
    accepting.close()
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


def _tell(sentence: str) -> None:
    tell(f"obflow: {sentence}")


def main() -> int:
    """Serve as a child of `EmbeddedClickHouse`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m embedded.clickhouse", description=serve.__doc__)
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
