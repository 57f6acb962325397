"""A real ClickHouse engine (chDB) on loopback, behind ClickHouse's HTTP interface.

    with EmbeddedClickHouse(Path("data")) as engine:
        obflow.clickhouse.connect(ClickHouseSettings(host=engine.host, port=engine.port))

Any other client shows one of `engine.tokens` as its password, for the user `default` or `reader`. One process owns the
data folder; everything else is an ordinary HTTP client of it, as of a server. This runs that process as a child;
`clickhouse_server.serve` is what runs inside it.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from embedded.process import Asked, Child, ChildFailed, nobody
from obflow import engine_tokens
from obflow.engine_tokens import EngineTokens
from schemas.errors import EXIT_USAGE, StoreUnreachable, UsageError

STOP_S: Final = 5.0
_READY = re.compile(r"^ClickHouse \S+ listens on http://(?P<host>\S+):(?P<port>\d+);", re.M)


class EmbeddedClickHouse:
    """The engine as a child process, which ends with this one however this one ends.

    Args:
        data: Its data folder, kept; None for a temporary one, removed by `stop`.
        port: The port clients connect to; 0 for a free one.
    """

    def __init__(self, data: Path | None = None, *, port: int = 0) -> None:
        self._wanted_port = port
        self._temporary = data is None
        self.data = (data or Path(tempfile.mkdtemp(prefix="obflow-clickhouse-"))).absolute()
        self.log = self.data / "clickhouse.log"
        self._address: tuple[str, int] | None = None
        self._child: Child | None = None

    @property
    def host(self) -> str:
        """Address of the running engine."""
        return self._running_address()[0]

    @property
    def port(self) -> int:
        """Port of the running engine's HTTP interface."""
        return self._running_address()[1]

    @property
    def tokens(self) -> EngineTokens:
        """What the running engine's users show: the passwords of `reader` and of `default`."""
        self._running_address()
        return engine_tokens.read(self.data)

    @property
    def pid(self) -> int:
        """The engine's process id."""
        if self._child is None:
            raise StoreUnreachable("the embedded ClickHouse is not running")
        return self._child.pid

    def _running_address(self) -> tuple[str, int]:
        if self._address is None:
            raise StoreUnreachable("the embedded ClickHouse is not running")
        return self._address

    def start(self, timeout_s: float = 60.0, *, unless: Asked = nobody) -> tuple[str, int]:
        """Start the engine and wait until it answers; a running one is left alone.

        Args:
            timeout_s: The longest wait.
            unless: Asked while it waits.

        Returns:
            Address and port of its HTTP interface.

        Raises:
            StopAsked: Somebody asked to; nothing runs then.
            UsageError: The port is in use.
            StoreUnreachable: It did not come up otherwise; says why in its own words.
        """
        if self._address is not None and self.is_running():
            return self._address
        argv = [sys.executable, "-m", "embedded.clickhouse_server", "--data", str(self.data)]
        child = Child("the embedded ClickHouse", [*argv, "--port", str(self._wanted_port)], log=self.log)
        child.start()
        try:
            child.wait_until(lambda: _READY.search(child.log_text()) is not None, timeout_s, unless)
        except ChildFailed as failure:
            child.kill()
            raise _explain(child, failure) from failure
        except BaseException:
            child.kill()
            raise
        found = _READY.search(child.log_text())
        if found is None:
            raise AssertionError("the condition just held")
        self._child, self._address = child, (found["host"], int(found["port"]))
        return self._address

    def is_running(self) -> bool:
        """Whether the engine's process runs."""
        return self._child is not None and self._child.is_running()

    def kill(self) -> None:
        """End the engine at once (SIGKILL), as a crash would. The data folder stays; `start` opens it again."""
        if self._child is not None:
            self._child.kill()
        self._child, self._address = None, None

    def stop(self, grace_s: float = STOP_S) -> None:
        """Stop the engine; a temporary data folder is removed.

        Args:
            grace_s: How long it may take before it is ended by force.
        """
        if self._child is not None:
            self._child.stop(grace_s)
        self._child, self._address = None, None
        if self._temporary:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _explain(child: Child, failure: ChildFailed) -> UsageError | StoreUnreachable:
    """The child's own sentence, which is its last line, where it ended with one; its kind goes with its exit code."""
    own = [line for line in child.log_text().splitlines() if line.startswith("obflow: ")]
    if own and child.exit_code is not None and child.exit_code > 0:
        kind = UsageError if child.exit_code == EXIT_USAGE else StoreUnreachable
        return kind(own[-1].removeprefix("obflow: "))
    return StoreUnreachable(failure.cause, next_step=failure.next_step)
