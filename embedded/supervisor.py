"""A handful of child processes run as one: started, watched, restarted within bounds, stopped together.

There is no thread in here. Whoever owns the supervisor calls `tick` a few times a second and reads what happened;
between two ticks nothing changes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.process import Child, describe_exit
from obflow.backoff import growing_wait_s
from schemas.errors import EXIT_DONE, EXIT_USAGE

READY_S = 30.0
STOP_S = 5.0


def obflow_command(*words: str) -> list[str]:
    """The argument list of one obflow command in this very Python.

    Args:
        words: The command and its arguments, as after `obflow` on a terminal.
    """
    return [sys.executable, "-m", "obflow", *words]


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a child that ended on its own is started again.

    It never is after exit code 0 (it is done) or 2 (its command line is wrong and will stay so).

    Args:
        limit: Restarts within the window; the next end is final.
        window_s: How far back restarts are counted.
        first_backoff_s: The wait before the first restart of a window; each further one doubles it.
        longest_backoff_s: The bound of that doubling.
    """

    limit: int = 5
    window_s: float = 60.0
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 8.0

    def backoff_s(self, recent_restarts: int) -> float:
        """The wait before the next restart.

        Args:
            recent_restarts: How many there were within the window.
        """
        return growing_wait_s(recent_restarts, self.first_backoff_s, self.longest_backoff_s)


NEVER = RestartPolicy(limit=0)


@dataclass(frozen=True, slots=True)
class Ended:
    """A child ended without being asked to.

    Args:
        name: Which.
        exit_code: As `Child.exit_code` gives it.
        restart_in_s: When it is started again; None: never.
        tail: The last lines of its log.
    """

    name: str
    exit_code: int
    restart_in_s: float | None
    tail: str

    def __str__(self) -> str:
        after = "is not restarted" if self.restart_in_s is None else f"restarts in {self.restart_in_s:g} s"
        return f"{self.name} ended {describe_exit(self.exit_code)} and {after}"


@dataclass(slots=True)
class _Member:
    child: Child
    policy: RestartPolicy
    wanted: bool = False  # started, and not asked to end
    restart_at_s: float | None = None
    restarts_s: list[float] = field(default_factory=list)
    restarts: int = 0


class Supervisor:
    """Owns child processes by name.

    Args:
        logs: Folder of the log files, one a child, named after it.
        monotonic: The clock of back-offs, seconds.
    """

    def __init__(self, logs: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._logs = logs
        self._monotonic = monotonic
        self._members: dict[str, _Member] = {}

    def add(
        self,
        name: str,
        argv: Sequence[str],
        *,
        restart: RestartPolicy = NEVER,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Make a child known, without starting it.

        Args:
            name: What it is called here and in messages; its log is `<name>.log`.
            argv: The program and its arguments.
            restart: What happens when it ends on its own.
            env: Its environment; this process's by default.
            cwd: Its working directory; this process's by default.
        """
        if name in self._members:
            raise ValueError(f"there is a child named {name} already")
        child = Child(name, argv, log=self._logs / f"{name}.log", env=env, cwd=cwd)
        self._members[name] = _Member(child, restart)
        return child

    def remove(self, name: str) -> None:
        """Forget a child that has been stopped or has ended, so that another one may have its name.

        Args:
            name: Which.
        """
        self.stop([name])
        del self._members[name]

    def start(self, name: str, ready: Callable[[], bool] | None = None, timeout_s: float = READY_S) -> Child:
        """Start a child, and wait until it is ready where a condition is given.

        Args:
            name: Which.
            ready: The condition.
            timeout_s: The longest wait for it.

        Raises:
            ChildFailed: It ended, or was not ready in time.
        """
        member = self._members[name]
        member.wanted, member.restart_at_s = True, None
        member.child.start()
        if ready is not None:
            member.child.wait_until(ready, timeout_s)
        return member.child

    def child(self, name: str) -> Child:
        """The child of that name.

        Args:
            name: Which.
        """
        return self._members[name].child

    def names(self) -> list[str]:
        """All names, in the order they were added."""
        return list(self._members)

    def running(self) -> list[str]:
        """The names of those that run now."""
        return [name for name, member in self._members.items() if member.child.is_running()]

    def are_done(self, names: Iterable[str]) -> bool:
        """Whether each has run, has ended, and is not started again.

        Args:
            names: Which.
        """
        members = [self._members[name] for name in names]
        return all(not member.wanted and member.child.exit_code is not None for member in members)

    def restarts(self, name: str) -> int:
        """How often a child was restarted by `tick`.

        Args:
            name: Which.
        """
        return self._members[name].restarts

    def forgive(self) -> None:
        """Forget the restarts so far: what the children need was away, and none of them is at fault."""
        for member in self._members.values():
            member.restarts_s.clear()

    def tick(self) -> list[Ended]:
        """Look at every child once: report those that ended since the last look, restart those that are due."""
        now_s = self._monotonic()
        ended = []
        for name, member in self._members.items():
            if not member.wanted or member.child.is_running():
                continue
            if member.restart_at_s is None:
                ended.append(self._note_end(name, member, now_s))
            elif now_s >= member.restart_at_s:
                member.restart_at_s = None
                member.restarts += 1
                member.restarts_s.append(now_s)
                member.child.start()
        return ended

    def _note_end(self, name: str, member: _Member, now_s: float) -> Ended:
        code = member.child.exit_code
        code = EXIT_DONE if code is None else code
        member.child.kill()  # what it may have left running in its group
        policy = member.policy
        member.restarts_s = [at_s for at_s in member.restarts_s if at_s > now_s - policy.window_s]
        backoff_s = None
        if code not in (EXIT_DONE, EXIT_USAGE) and len(member.restarts_s) < policy.limit:
            backoff_s = policy.backoff_s(len(member.restarts_s))
            member.restart_at_s = now_s + backoff_s
        else:
            member.wanted = False
        return Ended(name, code, backoff_s, member.child.log_tail())

    def stop(self, names: Iterable[str] | None = None, grace_s: float = STOP_S) -> dict[str, int]:
        """Ask children to end, all at the same time, and end by force those that do not.

        Args:
            names: Which; all of them by default.
            grace_s: How long they may take altogether.

        Returns:
            The exit code of each that had been started.
        """
        members = [self._members[name] for name in (self.names() if names is None else names)]
        for member in members:
            member.wanted, member.restart_at_s = False, None
            member.child.terminate()
        deadline = time.monotonic() + grace_s
        for member in members:
            member.child.finish(max(0.0, deadline - time.monotonic()))
        return {member.child.name: code for member in members if (code := member.child.exit_code) is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
