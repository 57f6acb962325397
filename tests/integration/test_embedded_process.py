"""A child never outlives its parent, and what happened to it can be read afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedded.process import LOG_LIMIT_BYTES, Child, ChildFailed, allowed_here, describe_exit
from tests.integration.processes import alive, group
from tests.support.patience import patient
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
READY = "print('ready', flush=True)\n"
SLEEP = READY + "import time\ntime.sleep(60)\n"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP


def python(tmp_path: Path, program: str, name: str = "child") -> Child:
    return Child(name, [sys.executable, "-c", program], log=tmp_path / f"{name}.log")


def started(child: Child) -> Child:
    child.start()
    child.wait_until(lambda: "ready" in child.log_text(), 10)
    return child


def test_a_child_is_told_to_end_and_ends(tmp_path: Path) -> None:
    child = started(python(tmp_path, SLEEP))
    assert child.is_running()
    assert child.stop() == -signal.SIGTERM
    assert not child.is_running()
    assert eventually(lambda: not group(child.pid))


def test_a_stubborn_child_is_ended_by_force_after_its_grace(tmp_path: Path) -> None:
    child = started(python(tmp_path, STUBBORN))
    before = time.monotonic()
    assert child.stop(grace_s=0.3) == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - before < 3


def test_the_process_id_is_the_childs_own(tmp_path: Path) -> None:
    child = started(python(tmp_path, "import os\nprint('pid', os.getpid())\n" + SLEEP))
    try:
        assert f"pid {child.pid}\n" in child.log_text()
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    finally:
        child.kill()


def test_a_child_that_ends_early_is_named_with_its_last_words(tmp_path: Path) -> None:
    child = python(tmp_path, "import sys\nprint('no such table')\nsys.exit(3)\n", name="sink")
    child.start()
    with pytest.raises(ChildFailed, match="sink ended with exit code 3 before it was ready") as caught:
        child.wait_until(lambda: False, 10)
    assert "no such table" in str(caught.value)
    assert str(child.log) in str(caught.value)


def test_a_child_that_is_never_ready_is_given_up_in_time(tmp_path: Path) -> None:
    child = started(python(tmp_path, SLEEP))
    try:
        with pytest.raises(ChildFailed, match=r"was not ready within [\d.]+ s"):
            child.wait_until(lambda: False, 0.1)
    finally:
        child.kill()


def test_a_child_is_waited_for_as_often_as_programs_want_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    monkeypatch.setattr("os.getloadavg", lambda: (27.0, 0.0, 0.0))
    assert allowed_here(60) == 810
    monkeypatch.setattr("os.getloadavg", lambda: (0.3, 0.0, 0.0))
    assert allowed_here(60) == 60


def test_a_program_that_does_not_exist_is_a_failed_child_too(tmp_path: Path) -> None:
    child = Child("ghost", ["/nonexistent/ghost"], log=tmp_path / "ghost.log")
    child.start()
    with pytest.raises(ChildFailed, match="ghost ended with exit code 127"):
        child.wait_until(lambda: False, 10)


def test_a_restarted_child_appends_to_its_log_but_quotes_only_its_own_lines(tmp_path: Path) -> None:
    child = python(tmp_path, "import os\nprint('run', os.getpid(), flush=True)\n")
    child.start()
    first = child.pid
    assert child.wait(patient(10)) == 0
    child.start()
    assert child.wait(patient(10)) == 0
    assert child.log_text() == f"run {child.pid}\n"
    assert child.log.read_text() == f"run {first}\nrun {child.pid}\n"


def test_a_log_beyond_its_limit_is_set_aside_once(tmp_path: Path) -> None:
    child = python(tmp_path, "print('new')\n")
    with child.log.open("wb") as log:
        log.truncate(LOG_LIMIT_BYTES + 1)
    child.start()
    child.wait(patient(10))
    assert child.log.read_text() == "new\n"
    assert (tmp_path / "child.log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_starting_a_running_child_changes_nothing(tmp_path: Path) -> None:
    child = started(python(tmp_path, SLEEP))
    pid = child.pid
    child.start()
    try:
        assert child.pid == pid
    finally:
        child.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_and_its_own_children_die_with_the_parent(tmp_path: Path, how: signal.Signals) -> None:
    grandchild = "import subprocess, sys\nprint('grandchild', subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
    program = (
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "from embedded.process import Child\n"
        # A shell's background job ignores Ctrl-C, and what it starts inherits that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"child = Child('child', [sys.executable, '-c', {grandchild + STUBBORN!r}], log=Path(sys.argv[1]))\n"
        "child.start()\n"
        "child.wait_until(lambda: 'ready' in child.log_text(), 10)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    log = tmp_path / "child.log"
    command = [sys.executable, "-c", program, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert len(group(child)) == 3  # the child, its own child, the watcher
        parent.send_signal(how)
    assert eventually(lambda: not group(child)), f"left running: {group(child)}"


def test_what_a_child_leaves_running_ends_when_its_end_is_noticed(tmp_path: Path) -> None:
    child = python(tmp_path, "import subprocess\nsubprocess.Popen(['sleep', '60'])\n")
    child.start()
    assert eventually(lambda: not alive(child.pid))
    assert group(child.pid)
    assert child.exit_code == 0
    assert eventually(lambda: not group(child.pid))


def test_a_child_has_no_standard_input_to_wait_for(tmp_path: Path) -> None:
    child = python(tmp_path, "import sys\nprint(repr(sys.stdin.read()))\n")
    child.start()
    child.wait(patient(10))
    assert child.log_text() == "''\n"


def test_exits_read_as_words() -> None:
    assert [describe_exit(code) for code in (0, 3, -9, -500, None)] == [
        "with exit code 0",
        "with exit code 3",
        "by SIGKILL",
        "by signal 500",
        "without an exit code",
    ]
