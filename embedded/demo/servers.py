"""The demo's broker and engine, watched like its roles: one that ends is started again on its folder and its port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, Protocol, TypeVar

from embedded.process import Asked
from embedded.supervisor import RestartPolicy
from schemas.errors import FatalError, PipelineError, UsageError

ANY_PORT: Final = 0


class Startable(Protocol):
    """What a broker and an engine have in common."""

    def start(self, timeout_s: float = 60.0, *, unless: Asked = ...) -> object:
        """Start it, and wait until it serves."""
        ...

    def is_running(self) -> bool:
        """Whether its process runs."""
        ...

    def kill(self) -> None:
        """End it at once; its folder stays."""
        ...

    def stop(self, grace_s: float = 5.0) -> None:
        """Ask it to end, and end it by force where it takes longer."""
        ...


S = TypeVar("S", bound=Startable)


class WatchedServer(Generic[S]):
    """A server and what becomes of it. Call `tick` a few times a second; restarts go on beside it.

    Args:
        name: What the picture and messages call it.
        make: Makes one for a port, always on the same folder.
        port: Where it is looked for; 0, or one that is lost to another program before it is bound, is any free one.
        port_of: Tells the port of one that runs.
        policy: How long it waits between restarts, and how many there may be.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[int], S],
        port: int,
        port_of: Callable[[S], int],
        policy: RestartPolicy | None = None,
    ) -> None:
        self.name = name
        self._make = make
        self._port = port
        self._port_of = port_of
        self._policy = policy or RestartPolicy()
        self._server = make(port)
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._restart: Future[None] | None = None
        self._ended_s: list[float] = []
        self._is_started = False
        self.restarts = 0

    @property
    def server(self) -> S:
        """The one that runs, or ran last."""
        return self._server

    @property
    def is_away(self) -> bool:
        """Whether it has ended and does not serve again yet."""
        return self._is_started and (self._restart is not None or not self._server.is_running())

    @property
    def line(self) -> str:
        """How it is, in words for the picture."""
        state = "ended, is being started again" if self.is_away else "runs"
        restarts = f"; restarts: {self.restarts}" if self.restarts else ""
        return f"{state} on port {self._port}{restarts}"

    def start(self, unless: Asked) -> None:
        """Start it for the first time.

        Args:
            unless: Asked while it waits.

        Raises:
            StopAsked: Somebody asked to.
            FatalError: It does not start.
        """
        try:
            self._server.start(unless=unless)
        except UsageError:
            if self._port == ANY_PORT:
                raise
            # Another program took the port after it was seen to be free: then any other one.
            self._server = self._make(ANY_PORT)
            self._server.start(unless=unless)
        self._port = self._port_of(self._server)
        self._is_started = True

    def tick(self) -> str:
        """Look once: start it again where it ended.

        Returns:
            What happened since the last look, as a sentence; empty where nothing did.

        Raises:
            FatalError: It ended too often to be started once more.
        """
        if self._restart is not None:
            return self._look_at_restart(self._restart)
        if not self.is_away:
            return ""
        now_s = time.monotonic()
        recent = [at_s for at_s in self._ended_s if at_s > now_s - self._policy.window_s]
        if len(recent) >= self._policy.limit:
            raise FatalError(f"the {self.name} ended {len(recent) + 1} times within {self._policy.window_s:g} s")
        self._ended_s = [*recent, now_s]
        wait_s = self._policy.backoff_s(len(recent)) if recent else 0.0
        self._restart = self._pool.submit(self._start_again, wait_s)
        return f"the {self.name} ended and is started again on its folder and port" + (
            f" in {wait_s:g} s" if wait_s else ""
        )

    def _look_at_restart(self, restart: Future[None]) -> str:
        if not restart.done():
            return ""
        self._restart = None
        failure = restart.exception()
        if failure is None:
            self.restarts += 1
            return f"the {self.name} serves again after {time.monotonic() - self._ended_s[-1]:.1f} s"
        if isinstance(failure, PipelineError):
            return f"the {self.name} does not start: {failure}"
        raise failure

    def _start_again(self, wait_s: float) -> None:
        if self._closed.wait(wait_s):
            return
        self._server.kill()  # what it may have left running, and its hold on the folder
        self._server = self._make(self._port)
        self._server.start(unless=self._closed.is_set)

    def close(self, grace_s: float) -> None:
        """Stop it, also where it is just being started again.

        Args:
            grace_s: How long it may take before it is ended by force.
        """
        self._closed.set()
        self._pool.shutdown()
        self._server.stop(grace_s)


def usual_or_free_port(usual: int) -> int:
    """The port every command tries without being told, where nobody has it; else any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", usual))
        except OSError:
            return 0
    return usual
