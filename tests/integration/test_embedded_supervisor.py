"""Children are restarted within bounds, and stopped together within one grace."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.supervisor import NEVER, Ended, RestartPolicy, Supervisor, obflow_command
from tests.support.patience import patient

pytestmark = pytest.mark.integration
READY = "print('ready', flush=True)\n"
SLEEP = READY + "import time\ntime.sleep(60)\n"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
# As the roles do: an orderly end on the first SIGTERM, an abrupt one on the second.
ORDERLY = (
    """
import signal, sys, time
def ask(*_):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
    time.sleep(0.3)
    sys.exit(0)
signal.signal(signal.SIGTERM, ask)
"""
    + SLEEP
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisor(tmp_path: Path, clock: Clock) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs", monotonic=clock) as supervisor:
        yield supervisor


def add(supervisor: Supervisor, name: str, program: str, restart: RestartPolicy = NEVER) -> None:
    supervisor.add(name, [sys.executable, "-c", program], restart=restart)


def start(supervisor: Supervisor, name: str) -> None:
    child = supervisor.child(name)
    supervisor.start(name, lambda: "ready" in child.log_text(), 10)


def end_noticed(supervisor: Supervisor) -> Ended:
    deadline = time.monotonic() + patient(10)
    while time.monotonic() < deadline:
        if ended := supervisor.tick():
            return ended[0]
        time.sleep(0.01)
    raise AssertionError("nobody ended")


def test_a_killed_child_comes_back_after_its_backoff_and_not_before(supervisor: Supervisor, clock: Clock) -> None:
    add(supervisor, "worker", SLEEP, RestartPolicy(first_backoff_s=2))
    start(supervisor, "worker")
    first = supervisor.child("worker").pid
    supervisor.child("worker").kill()

    ended = end_noticed(supervisor)
    assert (ended.exit_code, ended.restart_in_s) == (-signal.SIGKILL, 2)
    assert str(ended) == "worker ended by SIGKILL and restarts in 2 s"
    clock.now_s += 1.9
    assert supervisor.tick() == []
    assert supervisor.running() == []
    clock.now_s += 0.2
    assert supervisor.tick() == []
    assert supervisor.running() == ["worker"]
    assert supervisor.child("worker").pid != first
    assert supervisor.restarts("worker") == 1


def test_backoff_doubles_up_to_its_bound_and_restarts_run_out(supervisor: Supervisor, clock: Clock) -> None:
    policy = RestartPolicy(limit=4, window_s=60, first_backoff_s=1, longest_backoff_s=3)
    add(supervisor, "worker", "import sys\nprint('boom')\nsys.exit(1)\n", policy)
    supervisor.start("worker")
    waits: list[float | None] = []
    while True:
        ended = end_noticed(supervisor)
        waits.append(ended.restart_in_s)
        assert ended.tail == "boom"
        if ended.restart_in_s is None:
            break
        clock.now_s += ended.restart_in_s
        supervisor.tick()
    assert waits == [1, 2, 3, 3, None]
    clock.now_s += 1000
    assert supervisor.tick() == []
    assert supervisor.running() == []


def test_restarts_of_long_ago_are_forgotten(supervisor: Supervisor, clock: Clock) -> None:
    add(supervisor, "worker", "import sys\nsys.exit(1)\n", RestartPolicy(limit=1, window_s=60, first_backoff_s=1))
    supervisor.start("worker")
    for _ in range(3):
        assert end_noticed(supervisor).restart_in_s == 1
        clock.now_s += 1
        supervisor.tick()
        clock.now_s += 61


def test_restarts_that_were_nobody_s_fault_are_not_counted(supervisor: Supervisor, clock: Clock) -> None:
    add(supervisor, "worker", "import sys\nsys.exit(1)\n", RestartPolicy(limit=1, window_s=60, first_backoff_s=1))
    supervisor.start("worker")
    for _ in range(3):
        assert end_noticed(supervisor).restart_in_s == 1
        clock.now_s += 1
        supervisor.tick()
        supervisor.forgive()


@pytest.mark.parametrize("code", [0, 2])
def test_a_child_that_is_done_or_wrongly_called_is_not_restarted(supervisor: Supervisor, code: int) -> None:
    add(supervisor, "once", f"import sys\nsys.exit({code})\n", RestartPolicy())
    supervisor.start("once")
    ended = end_noticed(supervisor)
    assert (ended.exit_code, ended.restart_in_s) == (code, None)


def test_a_child_is_done_once_it_has_ended_for_good(supervisor: Supervisor, clock: Clock) -> None:
    add(supervisor, "short", "pass")
    add(supervisor, "again", "raise SystemExit(1)", RestartPolicy(limit=1))
    assert not supervisor.are_done(["short"])
    for name in ("short", "again"):
        supervisor.start(name)
        supervisor.child(name).wait(patient(10))
    supervisor.tick()
    assert supervisor.are_done(["short"])
    assert not supervisor.are_done(["short", "again"])
    clock.now_s += 60
    supervisor.tick()
    supervisor.child("again").wait(patient(10))
    supervisor.tick()
    assert supervisor.are_done(["short", "again"])


def test_stopping_asks_everybody_at_once_and_each_only_once(supervisor: Supervisor) -> None:
    for number in range(3):
        add(supervisor, f"orderly-{number}", ORDERLY, RestartPolicy())
        start(supervisor, f"orderly-{number}")
    before = time.monotonic()
    assert supervisor.stop() == dict.fromkeys(supervisor.names(), 0)
    assert time.monotonic() - before < 0.9  # three times 0.3 s one after the other
    assert supervisor.tick() == []


def test_one_grace_covers_all_stubborn_children(supervisor: Supervisor) -> None:
    for number in range(3):
        add(supervisor, f"stubborn-{number}", STUBBORN)
        start(supervisor, f"stubborn-{number}")
    before = time.monotonic()
    codes = supervisor.stop(grace_s=0.4)
    assert time.monotonic() - before < 1.2
    assert set(codes.values()) == {-signal.SIGKILL}


def test_stopping_some_leaves_the_others(supervisor: Supervisor) -> None:
    for name in ("producer", "sink"):
        add(supervisor, name, SLEEP)
        start(supervisor, name)
    assert supervisor.stop(["producer"]) == {"producer": -signal.SIGTERM}
    assert supervisor.running() == ["sink"]


def test_a_child_that_was_never_started_is_stopped_without_fuss(supervisor: Supervisor) -> None:
    add(supervisor, "idle", SLEEP)
    assert supervisor.stop() == {}


def test_two_children_of_one_name_are_refused(supervisor: Supervisor) -> None:
    add(supervisor, "worker", SLEEP)
    with pytest.raises(ValueError, match="worker"):
        add(supervisor, "worker", SLEEP)


def test_a_role_is_a_command_of_this_very_python(supervisor: Supervisor) -> None:
    child = supervisor.add("version", obflow_command("--version"))
    supervisor.start("version")
    assert child.wait(patient(20)) == 0
    assert child.log_text().startswith("obflow ")
