"""Lifecycle: ends in order, in time, and with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from obflow import lifecycle
from obflow.lifecycle import PARENT_VARIABLE, child_environment, run_async, stop_on_signal
from schemas.errors import FatalError
from tests.support.patience import patient


def tell_self(signum: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), signum)


async def heard(signum: signal.Signals) -> None:
    """Tell this process, and give the loop the rounds it needs to call its handler."""
    tell_self(signum)
    for _ in range(10):
        await asyncio.sleep(0)


class TestAsync:
    def test_what_the_work_returns_is_returned(self) -> None:
        async def main(_stop: asyncio.Event) -> str:
            await asyncio.sleep(0)
            return "done"

        assert run_async(main) == "done"

    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_asks_for_an_orderly_end(self, signum: signal.Signals) -> None:
        async def main(stop: asyncio.Event) -> str:
            tell_self(signum)
            await stop.wait()
            return "in order"

        assert run_async(main) == "in order"

    def test_work_that_does_not_end_in_time_is_cut_off_with_a_sentence(self) -> None:
        cleaned = []

        async def main(_stop: asyncio.Event) -> None:
            tell_self()
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)

        with pytest.raises(FatalError, match=r"did not stop within 0\.01 s"):
            run_async(main, shutdown_seconds=0.01)
        assert cleaned

    def test_a_second_signal_does_not_wait_for_the_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lifecycle, "ECHO_SECONDS", 0.0)

        async def main(stop: asyncio.Event) -> None:
            tell_self()
            await stop.wait()
            tell_self()
            await asyncio.Event().wait()

        with pytest.raises(FatalError, match="told twice"):
            run_async(main, shutdown_seconds=60)

    @pytest.mark.parametrize("echo", [signal.SIGTERM, signal.SIGINT])
    def test_a_signals_echo_does_not_cut_off_an_orderly_end(self, echo: signal.Signals) -> None:
        async def main(stop: asyncio.Event) -> str:
            tell_self()
            await stop.wait()
            await heard(echo)
            return "in order"

        assert run_async(main) == "in order"

    def test_an_error_of_the_work_comes_out_as_it_is(self) -> None:
        async def main(_stop: asyncio.Event) -> None:
            raise FatalError("no more")

        with pytest.raises(FatalError, match="no more"):
            run_async(main)

    def test_the_handlers_are_gone_afterwards(self) -> None:
        before = signal.getsignal(signal.SIGTERM)

        async def main(_stop: asyncio.Event) -> None:
            return

        run_async(main)
        assert signal.getsignal(signal.SIGTERM) == before

    def test_a_child_without_its_parent_stops_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(PARENT_VARIABLE, str(os.getppid() + 1))
        interrupt = signal.getsignal(signal.SIGINT)

        async def main(stop: asyncio.Event) -> str:
            await stop.wait()
            return "followed"

        assert run_async(main) == "followed"
        assert signal.getsignal(signal.SIGINT) == interrupt

    def test_the_first_signal_after_the_parents_death_asks_for_an_orderly_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PARENT_VARIABLE, str(os.getppid() + 1))
        monkeypatch.setattr(lifecycle, "ECHO_SECONDS", 0.0)

        async def main(stop: asyncio.Event) -> str:
            await stop.wait()
            await heard(signal.SIGTERM)
            return "in order"

        assert run_async(main) == "in order"


class TestBlocking:
    def test_a_signal_sets_the_event_and_the_handlers_are_put_back(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with stop_on_signal() as stop:
            assert not stop.is_set()
            tell_self()
            assert stop.wait(patient(5))
        assert signal.getsignal(signal.SIGTERM) == before

    def test_an_echo_is_no_second_wish_and_a_later_signal_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        monkeypatch.setattr(lifecycle, "_end_now", said.append)
        with stop_on_signal() as stop:
            tell_self()
            tell_self()
            assert stop.wait(patient(5))
            assert said == []
            monkeypatch.setattr(lifecycle, "ECHO_SECONDS", 0.0)
            tell_self()
        assert said == ["a second SIGTERM arrived"]

    def test_leaving_the_block_ends_its_thread(self) -> None:
        with stop_on_signal():
            assert any(thread.name == "lifecycle" for thread in threading.enumerate())
        assert not any(thread.name == "lifecycle" for thread in threading.enumerate())

    def test_a_child_leaves_ctrl_c_to_its_parent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(PARENT_VARIABLE, str(os.getppid()))
        with stop_on_signal() as stop:
            tell_self(signal.SIGINT)
            assert not stop.is_set()
            tell_self()
            assert stop.wait(patient(5))

    def test_a_loop_that_never_looks_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = threading.Event()
        monkeypatch.setattr(lifecycle, "_end_now", lambda why: ended.set())
        with stop_on_signal(shutdown_seconds=0.01):
            tell_self()
            assert ended.wait(patient(5))


def test_a_child_ends_when_its_parent_is_killed() -> None:
    """The grandchild inherits the pipe, so the read below ends only when it is gone too."""
    child = (
        "import sys; from obflow.lifecycle import stop_on_signal\n"
        "with stop_on_signal() as stop:\n"
        "    print('up', flush=True); sys.exit(0 if stop.wait(60) else 1)\n"
    )
    parent = (
        "import os, signal, subprocess, sys; from obflow.lifecycle import child_environment\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], env=os.environ | child_environment(),"
        " stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", parent], stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == b""


def test_a_child_is_told_who_its_parent_is() -> None:
    assert child_environment() == {PARENT_VARIABLE: str(os.getpid())}
