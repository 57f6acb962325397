"""What the engine's process may no longer do once it has started, held by the Linux kernel.

The engine is ten million lines that parse what strangers may send. Should a statement get past every other check, it
still finds itself in a process that opens files below its own folder only (Landlock), runs no program and opens no
socket (seccomp). Both hold for every thread started afterwards and cannot be undone. Where the kernel has neither, the
process runs without and says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

# <linux/landlock.h>: the system calls have these numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_OLDEST_ABI: Final = 2  # before it, nothing can be renamed from one folder into another
_ACCESS_OF_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many of the access bits below a kernel knows
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ALL: Final = (1 << 16) - 1
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SCOPE_ABI: Final = 6
_SCOPE_ALL: Final = 0b11  # no signals and no abstract sockets to processes outside

# <linux/prctl.h>, <linux/seccomp.h>, <linux/filter.h>, <linux/audit.h>
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_X32_CALLS: Final = 0x40000000
# Architecture, as seccomp names it: socket, connect, execve, execveat, ptrace, process_vm_readv, process_vm_writev.
_CALLS: Final = {
    "x86_64": (0xC000003E, (41, 42, 59, 322, 101, 310, 311)),
    "aarch64": (0xC00000B7, (198, 203, 221, 281, 117, 270, 271)),
}

# What the C library, Python and the engine read of the system while they run. None of it is anybody's secret. Without
# `auxv`, which says where the kernel's own functions are, the engine looks for it behind the environment in memory,
# where something else may stand by now: some starts ended by SIGSEGV.
_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom"),
    *("/proc/self/auxv", "/proc/self/maps"),
    *("/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/sys/vm/overcommit_memory", "/sys/devices/system"),
    *("/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
)


def close_off(*, read_and_written: Sequence[Path], written: Path) -> list[str]:
    """Take all other files, every program and every socket from this process, for good.

    Call it before any thread is started: a thread keeps the rights it was started with.

    Args:
        read_and_written: Folders and files it may do with what it likes.
        written: A folder around them, where it may make, write and remove files but read none.

    Returns:
        What could not be taken, in words; empty where all was.
    """
    if sys.platform != "linux":
        return [f"{sys.platform} has neither Landlock nor seccomp, so only the engine's own checks hold"]
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return [f"the kernel refuses ({os.strerror(ctypes.get_errno())}), so only the engine's own checks hold"]
    left = []
    if reason := _close_files(library, read_and_written, written):
        left.append(f"files outside its folder are open to it, since {reason}")
    if reason := _close_calls(library):
        left.append(f"programs and sockets are open to it, since {reason}")
    return left


def _close_files(library: ctypes.CDLL, read_and_written: Sequence[Path], written: Path) -> str:
    abi = library.syscall(_CREATE_RULESET, None, 0, 1)
    if abi < _OLDEST_ABI:
        return f"the kernel has no Landlock of version {_OLDEST_ABI} (Linux 5.19)"
    handled = (1 << _ACCESS_OF_ABI.get(abi, 16)) - 1
    scoped = _SCOPE_ALL if abi >= _SCOPE_ABI else 0
    attributes = struct.pack("=QQQ", handled, 0, scoped)[: 24 if scoped else 8]
    rules = library.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return os.strerror(ctypes.get_errno())
    try:
        for path, access in _rules(read_and_written, written):
            _allow_below(library, rules, path, access & handled)
        return "" if library.syscall(_RESTRICT_SELF, rules, 0) == 0 else os.strerror(ctypes.get_errno())
    finally:
        os.close(rules)


def _rules(read_and_written: Sequence[Path], written: Path) -> Iterator[tuple[Path, int]]:
    yield written, _ALL & ~_EXECUTE & ~_READ_FILE
    for path in (*read_and_written, Path("/dev/null")):
        yield path, _ALL & ~_EXECUTE
    for path in {*map(Path, _SYSTEM), *_python_folders()}:
        yield path, _READ_FILE | _READ_DIR


def _python_folders() -> set[Path]:
    """Folders of the interpreter and of what is installed for it, where modules may still be imported from."""
    installed = {path for path in map(Path, sys.path) if path.name in ("site-packages", "dist-packages")}
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return installed | standard | {Path(sys.base_prefix, "lib")}


def _allow_below(library: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no leave
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            access &= _OF_FILES
        library.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", access, opened), 0)
    finally:
        os.close(opened)


def _close_calls(library: ctypes.CDLL) -> str:
    architecture, calls = _CALLS.get(platform.machine(), (0, ()))
    if not calls:
        return f"nobody has listed the system calls of {platform.machine()}"
    steps = _filter(architecture, calls)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    refused = library.prctl(_SET_SECCOMP, _FILTER_MODE, program, 0, 0)
    return os.strerror(ctypes.get_errno()) if refused else ""


def _filter(architecture: int, calls: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """The program the kernel runs before each system call: (code, steps to skip if so, if not, constant)."""
    refuse = len(calls) + 4  # the last step; steps are skipped relative to the next one
    steps = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQUAL, 0, refuse - 1, architecture),
        (_LOAD, 0, 0, 0),
        (_JUMP_AT_LEAST, refuse - 3, 0, _X32_CALLS),
    ]
    steps += [(_JUMP_EQUAL, refuse - len(steps) - at, 0, call) for at, call in enumerate(calls)]
    return [*steps, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
