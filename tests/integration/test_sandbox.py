"""What a process can still do once it has closed itself off; tried in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.clickhouse import EmbeddedClickHouse
from embedded.sandbox import _filter
from tests.support.patience import patient

pytestmark = pytest.mark.integration

TRIED = """
import ctypes, errno, json, os, socket, subprocess, sys, threading
from pathlib import Path
from embedded.sandbox import close_off

folder, outside = Path(sys.argv[1]), Path(sys.argv[2])
left = close_off(read_and_written=[folder / "own"], written=folder)

def tried(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def in_a_thread(action):
    said = []
    thread = threading.Thread(target=lambda: said.append(tried(action)))
    thread.start()
    thread.join()
    return said[0]

memory = os.memfd_create("rows")
os.write(memory, b"rows")
print(json.dumps({
    "left": left,
    "read own": tried((folder / "own" / "file").read_text),
    "write own": tried(lambda: (folder / "own" / "new").write_text("x")),
    "rename own": tried(lambda: (folder / "own" / "new").rename(folder / "own" / "newer")),
    "write beside": tried(lambda: (folder / "token").write_text("x")),
    "read beside": tried((folder / "token").read_text),
    "read outside": tried((outside / "file").read_text),
    "read outside in a thread": in_a_thread((outside / "file").read_text),
    "write outside": tried(lambda: (outside / "new").write_text("x")),
    "remove outside": tried((outside / "file").unlink),
    "list outside": tried(lambda: os.listdir(outside)),
    "read the environment": tried(Path("/proc/self/environ").read_text),
    "run a program": tried(lambda: subprocess.run([sys.executable, "-c", ""])),
    "run a program in a thread": in_a_thread(lambda: subprocess.run(["/bin/true"])),
    "open a socket": tried(lambda: socket.socket().close()),
    "open a datagram socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()),
    "open a local socket": tried(lambda: socket.socket(socket.AF_UNIX).close()),
    "make a pair of sockets": tried(lambda: [end.close() for end in socket.socketpair()]),
    "read rows in memory": tried(Path(f"/proc/self/fd/{memory}").read_bytes),
    "import a module": tried(lambda: __import__("xml.dom.minidom")),
    "find the kernel's functions": tried(Path("/proc/self/auxv").read_bytes),
}))
"""


def tried(tmp_path: Path) -> dict[str, object]:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    for made in (folder / "own", outside):
        made.mkdir(parents=True)
        (made / "file").write_text("text", "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", TRIED, str(folder), str(outside)],
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    if found["left"]:
        pytest.skip(f"this kernel closes nothing off: {found['left']}")
    return found


def test_a_process_keeps_its_folder_and_nothing_else(tmp_path: Path) -> None:
    assert tried(tmp_path) == {
        "left": [],
        "read own": "done",
        "write own": "done",
        "rename own": "done",
        "write beside": "done",
        "read beside": "EACCES",
        "read outside": "EACCES",
        "read outside in a thread": "EACCES",
        "write outside": "EACCES",
        "remove outside": "EACCES",
        "list outside": "EACCES",
        "read the environment": "EACCES",
        "run a program": "EPERM",
        "run a program in a thread": "EPERM",
        "open a socket": "EPERM",
        "open a datagram socket": "EPERM",
        "open a local socket": "EPERM",
        "make a pair of sockets": "done",
        "read rows in memory": "done",
        "import a module": "done",
        "find the kernel's functions": "done",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
def test_the_running_engine_is_closed_off_or_says_that_it_is_not() -> None:
    with EmbeddedClickHouse() as engine:
        said = engine.log.read_text("utf-8")
        status = Path(f"/proc/{engine.pid}/status").read_text("ascii")
        threads = [path.read_text("ascii") for path in Path(f"/proc/{engine.pid}/task").glob("*/status")]
    if "is not closed off" not in said:
        assert "NoNewPrivs:\t1" in status
        assert len(threads) > 5
        assert all("Seccomp:\t2" in thread for thread in threads)


@pytest.mark.parametrize("architecture", [0xC000003E, 0xC00000B7])
def test_the_filter_refuses_its_calls_and_no_others(architecture: int) -> None:
    """The program, run by hand as the kernel runs it."""
    refused, other = (41, 59, 101), {0xC000003E: 0xC00000B7, 0xC00000B7: 0xC000003E}[architecture]
    steps = _filter(architecture, refused)
    for call in range(512):
        assert run(steps, architecture, call) == ("refused" if call in refused else "allowed")
        assert run(steps, other, call) == run(steps, architecture, 0x40000000 | call) == "refused"


def run(steps: list[tuple[int, int, int, int]], architecture: int, call: int) -> str:
    at, loaded = 0, 0
    while True:
        code, if_so, if_not, constant = steps[at]
        at += 1
        if code == 0x20:
            loaded = {0: call, 4: architecture}[constant]
        elif code == 0x06:
            return "allowed" if constant == 0x7FFF0000 else "refused"
        else:
            holds = loaded == constant if code == 0x15 else loaded >= constant
            at += if_so if holds else if_not
