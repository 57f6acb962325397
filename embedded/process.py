"""One child process that never outlives its parent.

The child is started through a three-line POSIX shell script which then becomes the child (same pid), so that it
needs neither Linux's `prctl` nor code between fork and exec. The script leaves a watcher behind in the child's own
process group: a subshell that blocks on a pipe whose other end only this process holds. When this process ends, by
whatever means, `kill -9` included, the pipe closes and the watcher kills the group: the child, what the child may
have started, and itself.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from schemas.errors import FatalError

LOG_LIMIT_BYTES = 16 * 1024 * 1024
POLL_S = 0.02
# Descriptor 0 is the pipe's reading end. A background command would get /dev/null as its standard input, hence the 3.
_SCRIPT = """
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
exec 3<&- "$@"
"""


def allowed_here(seconds: float) -> float:
    """Find how long something may take on this machine now: as often as programs want each of its cores, s.

    A program that shares a core with ten others needs ten times as long for the same start, and is not broken.

    Args:
        seconds: How long it may take where nothing else runs.
    """
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class ChildFailed(FatalError):
    """A child process ended, or was not ready in time."""


class StopAsked(Exception):
    """Who waited was told to wait no more: no fault, and nothing is left half done."""


Asked = Callable[[], bool]
"""Whether whoever waits has been told to stop."""


def nobody() -> bool:
    """Nobody asks: the wait is for as long as it was said to be."""
    return False


def go_on_unless(asked: Asked) -> None:
    """Go on where nobody asks to stop. Raises StopAsked."""
    if asked():
        raise StopAsked


class Child:
    """A child process in its own process group, with a log file of its own.

    Args:
        name: What messages call it.
        argv: The program and its arguments.
        log: Receives standard output and error, appended; kept after the child has ended.
        env: Its environment; this process's by default.
        cwd: Its working directory; this process's by default.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._env = env
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start_bytes = 0

    def start(self) -> None:
        """Start it. A child that has ended may be started again; a running one is left alone."""
        if self.is_running():
            return
        self._open_log_generation()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sh", *self.argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                process_group=0,  # Ctrl-C at the terminal reaches the parent alone, which stops its children in order
            )

    def _open_log_generation(self) -> None:
        """Keep at most one older log beside the current one, and remember where this run's lines begin."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        size = self.log.stat().st_size if self.log.exists() else 0
        if size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
            size = 0
        self._log_start_bytes = size

    @property
    def pid(self) -> int:
        """The child's own process id (of its last run, when it has ended)."""
        if self._process is None:
            raise FatalError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None before the start and while it runs; minus the signal's number where a signal ended it."""
        if self._process is None or self._process.poll() is None:
            return None
        self._release()
        return self._process.returncode

    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self.exit_code is None

    def wait_until(self, ready: Callable[[], bool], timeout_s: float, unless: Asked = nobody) -> None:
        """Block until the condition holds.

        Args:
            ready: Asked every 20 ms.
            timeout_s: The longest wait on a machine that is not busy.
            unless: Asked as often.

        Raises:
            ChildFailed: The child ended first, or the time is over; names the log and quotes its last lines.
            StopAsked: Somebody asked to.
        """
        begun_s = time.monotonic()
        while not ready():
            go_on_unless(unless)
            if not self.is_running():
                raise self._failure(f"ended {describe_exit(self.exit_code)} before it was ready")
            if (waited_s := time.monotonic() - begun_s) > allowed_here(timeout_s):
                raise self._failure(f"was not ready within {waited_s:.1f} s")
            time.sleep(POLL_S)

    def wait(self, timeout_s: float, unless: Asked = nobody) -> int:
        """Block until it ends.

        Args:
            timeout_s: The longest wait where nothing else runs.
            unless: Asked every 20 ms.

        Returns:
            Its exit code.

        Raises:
            ChildFailed: It still runs.
            StopAsked: Somebody asked to.
        """
        begun_s = time.monotonic()
        while (code := self.exit_code) is None:
            go_on_unless(unless)
            if self._process is None:
                raise FatalError(f"{self.name} was never started")
            if (waited_s := time.monotonic() - begun_s) > allowed_here(timeout_s):
                raise self._failure(f"did not end within {waited_s:.0f} s")
            time.sleep(POLL_S)
        return code

    def _failure(self, what: str) -> ChildFailed:
        tail = self.log_tail()
        quoted = f"; its last lines:\n{tail}" if tail else ""
        return ChildFailed(f"{self.name} {what}", next_step=f"see {self.log}{quoted}")

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that this run wrote.

        Args:
            lines: How many at most.
        """
        return "\n".join(self.log_text().splitlines()[-lines:])

    def log_text(self, limit_bytes: int = 256 * 1024) -> str:
        """What this run wrote, its end only where that is long.

        Args:
            limit_bytes: How much to read at most.
        """
        try:
            with self.log.open("rb") as stream:
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(self._log_start_bytes, end - limit_bytes))
                return stream.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended is left alone.

        Args:
            number: Which.
        """
        if self.is_running() and self._process is not None:
            self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM), without waiting."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and everything in its group at once (SIGKILL), and wait for that."""
        if self.is_running() and self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._release()

    def stop(self, grace_s: float = 5.0) -> int | None:
        """Ask it to end, and end it by force when it does not.

        Args:
            grace_s: How long it may take.

        Returns:
            Its exit code, or None when it was never started.
        """
        self.terminate()
        return self.finish(grace_s)

    def finish(self, grace_s: float) -> int | None:
        """Wait for the end of a child that was asked to, and end it by force when it takes too long.

        Args:
            grace_s: How long it may take.

        Returns:
            Its exit code, or None when it was never started.
        """
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self.kill()
        return self.exit_code

    def _release(self) -> None:
        """Close the pipe of an ended child: its watcher wakes, clears the group of stragglers, and ends."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def __repr__(self) -> str:
        return f"Child({self.name!r}, {shlex.join(self.argv)})"


def describe_exit(code: int | None) -> str:
    """An exit code in words.

    Args:
        code: As `Child.exit_code` gives it.
    """
    if code is None:
        return "without an exit code"
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
