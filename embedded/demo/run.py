"""Runs the demo: starts the parts in order, shows what they do, drains them, asks ClickHouse what came of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from embedded.clickhouse import EmbeddedClickHouse
from embedded.demo import children, drain
from embedded.demo.plan import COMPILER, COMPILES, MODEL, SIMULATOR, DemoPlan, DemoSource, Role
from embedded.demo.rates import Figures
from embedded.demo.screen import SCRIPTED_LINE, RoleState, figures
from embedded.demo.servers import WatchedServer, usual_or_free_port
from embedded.demo.summary import GAPS, Summary, count_rows
from embedded.demo.watch import PipelineWatch, SeenPipeline
from embedded.jars import Report
from embedded.kafka import EmbeddedKafka
from embedded.process import allowed_here, go_on_unless
from embedded.supervisor import NEVER, Ended, RestartPolicy, Supervisor, obflow_command
from obflow import clickhouse, kafka_logs, topics
from obflow.compiled_cache import ENGINE, is_compiled
from obflow.settings import Settings
from schemas.errors import EXIT_USAGE, FatalError, PipelineError, UsageError
from schemas.topics import L2, TRADES

if TYPE_CHECKING:
    from obflow.clickhouse import Client

FIRST_EVENT_S: Final = 90.0
FIRST_ROW_S: Final = 30.0
DRAIN_S: Final = 30.0
LAST_DRAIN_S: Final = 4.0
STOP_S: Final = 4.0
CLOSE_ROLES_S: Final = 2.0
CLOSE_SERVERS_S: Final = 1.5
TICK_S: Final = 0.25
KAFKA_PORT: Final = 9092
PORT_TAKEN: Final = "cannot be listened on"
AUDIT_GROUP: Final = "obflow.audits"


class Demo:
    """One run of the whole pipeline. Use it as a context manager: leaving it stops every child.

    Args:
        plan: What to run.
        settings: The caller's settings, passed on to every role; broker and database addresses are replaced by the
            demo's own.
        data: Folder for the broker's and the engine's data and for the roles' logs.
        report: Receives each sentence for a person.
        patience: How many times as long as on an idle machine its end may take.

    Raises:
        UsageError: There are fewer ports from `metrics.port` on than roles.
    """

    def __init__(self, plan: DemoPlan, settings: Settings, data: Path, report: Report, patience: float = 1.0) -> None:
        self.plan = plan
        self.patience = patience
        self.settings = settings
        self._data = data
        self._report = report
        self._metrics_ports = children.metrics_ports(
            settings, tuple(role.name for role in plan.roles if role.name != SIMULATOR)
        )
        self._broker = WatchedServer(
            "Kafka broker",
            lambda port: EmbeddedKafka(data / "kafka", port=port, cache=settings.cache, report=report),
            usual_or_free_port(KAFKA_PORT),
            lambda broker: int(broker.bootstrap.rpartition(":")[2]),
        )
        self._engine = WatchedServer(
            "ClickHouse engine",
            lambda port: EmbeddedClickHouse(data / "clickhouse", port=port),
            usual_or_free_port(settings.clickhouse.port),
            lambda engine: engine.port,
        )
        self._roles = Supervisor(data / "logs")
        self._watch: PipelineWatch | None = None
        self._rows = 0
        self._started_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seen(self) -> SeenPipeline:
        """What the watch saw so far."""
        return self._watch.seen if self._watch else SeenPipeline()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make any obflow command see this demo's broker and database, as the demo's roles see them."""
        return {**children.shown(self.settings), **children.places(self.settings)}

    def start(self, stop: threading.Event) -> None:
        """Start broker, engine and roles, each step with its seconds.

        Args:
            stop: Looked at all the while.

        Raises:
            StopAsked: It was set before all of them were started.
        """
        with self._step("Kafka broker"):
            self._broker.start(stop.is_set)
        with self._step("ClickHouse engine"):
            self._engine.start(stop.is_set)
        engine = self._engine.server
        self.settings = children.pointed(self.settings, self._broker.server.bootstrap, engine.host, engine.port)
        with self._step("topics and tables"):
            topics.apply(self.settings)
            self._run_to_end(Role("tables", ("tables", "apply"), "tables"), stop)
        self._watch = PipelineWatch(self.settings, latency=self.plan.source is not DemoSource.RECORDING)
        self._start_roles(*self.plan.consumers, *self.plan.producers)
        self._watch.start()

    def start_derived(self) -> None:
        """Start the roles that only read what others make of the frames: the first row is not to wait for them."""
        self._start_roles(*self.plan.derived)

    def compile_beside(self) -> None:
        """Compile, where nothing is compiled yet, what workers are faster with from their next start on.

        It has what the roles leave of the processors, and the first row does not wait for it.
        """
        if is_compiled(ENGINE, self.settings.cache):
            return
        self._report("the engine that is compiled is made beside the demo, for the next start; until then another runs")
        environment = self._environment_of_child(0)
        self._roles.add(COMPILER, [sys.executable, *COMPILES], restart=NEVER, env=environment)
        self._roles.start(COMPILER)

    def _start_roles(self, *roles: Role) -> None:
        for role in roles:
            self._add(role)
            self._roles.start(role.name)

    def wait_first_event(self, stop: threading.Event) -> None:
        """Block until the first factor event is on the log.

        Raises:
            FatalError: None came in time, or everything was read and nothing came of it; quotes the roles' logs.
            StopAsked: Somebody asked to.
        """
        begun_s = time.monotonic()
        with self._step("first factor event"):
            while not self.seen.events:
                go_on_unless(stop.is_set)
                self.tick()
                if self._is_over():
                    raise FatalError("every frame was read, and no book came of any", next_step=self._tails())
                if (waited_s := time.monotonic() - begun_s) > allowed_here(FIRST_EVENT_S):
                    raise FatalError(f"no factor event within {waited_s:.0f} s", next_step=self._tails())
                stop.wait(TICK_S)

    def wait_first_row(self, stop: threading.Event) -> None:
        """Block until there is something to ask the tables for; a sink that takes long is left to the picture.

        Raises:
            StopAsked: Somebody asked to.
        """
        until_s = time.monotonic() + allowed_here(FIRST_ROW_S)
        with self._step("first row in ClickHouse"):
            while not self.rows() and time.monotonic() < until_s:
                go_on_unless(stop.is_set)
                self.tick()
                stop.wait(TICK_S)

    def _is_over(self) -> bool:
        """Whether the producers are done, the processors have read all that came, and made nothing of it."""
        if not self._roles.are_done(role.name for role in self.plan.producers):
            return False
        return drain.nothing_came(self.settings)

    def tick(self) -> None:
        """Look at servers and roles once: restart what ended, and report it.

        Raises:
            UsageError: A role refused its command line, and nothing has come of the demo yet.
            FatalError: A role ended for good otherwise, and nothing has come of the demo yet; or a server ends again
                and again.
        """
        servers = (self._broker, self._engine)
        if any(server.is_away for server in servers):
            self._roles.forgive()
        for sentence in filter(None, [server.tick() for server in servers]):
            self._report(sentence)
        for end in self._roles.tick():
            if end.name in (SIMULATOR, MODEL) and PORT_TAKEN in end.tail:
                self._choose_again(end.name)
                continue
            if end.exit_code and end.restart_in_s is None and not self.seen.events:
                raise _hopeless(end)
            self._report(f"{end}; its last lines:\n{end.tail}" if end.exit_code else str(end))

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A connection to the demo's database."""
        connection = clickhouse.connect(self.settings.clickhouse)
        try:
            yield connection
        finally:
            connection.close()

    def rows(self) -> int:
        """Rows of the factor table, as last seen while the engine is away; 0 before there is a table to ask."""
        # It may also end between two questions, in the middle of an answer.
        with suppress(PipelineError, clickhouse.ClickHouseError, OSError), self.client() as client:
            self._rows = count_rows(client, self.settings.clickhouse.database).get("factors", 0)
        return self._rows

    def status(self, rows: int, speed: Figures) -> list[str]:
        """A line a server and a line a role."""
        said = figures(self.seen, rows, speed)
        said |= {SIMULATOR: self.plan.planted, MODEL: SCRIPTED_LINE, self.plan.producers[-1].line: said["source"]}
        servers = (f"{'broker':<11}{self._broker.line}", f"{'engine':<11}{self._engine.line}")
        started = self._roles.names()
        lines: dict[str, list[str]] = {}
        for role in self.plan.roles:
            if role.name in started:
                lines.setdefault(role.line, []).append(role.name)
        return [*servers, *(self._state(line, members).says(said[line]) for line, members in lines.items())]

    def _state(self, name: str, members: list[str]) -> RoleState:
        running = len(set(members) & set(self._roles.running()))
        return RoleState(name, running, len(members), sum(map(self._roles.restarts, members)))

    def finish(self) -> Summary:
        """Stop the producers, let the rest drain, and ask ClickHouse and the audit.

        Returns:
            An empty one where it was stopped before there was a role to bring something.
        """
        if self._watch is None:
            return Summary()
        books_live = self.seen.books_live
        until_s = time.monotonic() + self.patience * DRAIN_S
        self._roles.stop([role.name for role in self.plan.producers], self.patience * STOP_S)
        *others, sink = (role.name for role in (*self.plan.consumers[:-1], *self._derived, self.plan.consumers[-1]))
        with self._step("drained"):
            self._drain(until_s)
            # The last a regime worker writes is which calls it gave up: the sink stays for that.
            self._roles.stop(others, self.patience * STOP_S)
            self._drain(max(until_s, time.monotonic() + self.patience * LAST_DRAIN_S))
        self._roles.stop([sink], self.patience * STOP_S)
        summary = self._summary(books_live)
        with self._step("audit against the log"):
            self._audit(summary)
        return summary

    def close(self) -> None:
        """Stop everything that still runs."""
        if self._watch:
            self._watch.stop()
        self._roles.stop(grace_s=CLOSE_ROLES_S)
        # Side by side, so that the end takes less than five seconds beside what is drained.
        with ThreadPoolExecutor(2) as both:
            both.submit(self._engine.close, CLOSE_SERVERS_S)
            both.submit(self._broker.close, CLOSE_SERVERS_S)

    def _add(self, role: Role) -> None:
        port = self._metrics_ports.get(role.name, 0)  # the simulator has none
        if port:
            self._report(f"metrics of {role.name}: http://{self.settings.metrics.host}:{port}/metrics")
        self._roles.add(
            role.name, obflow_command(*role.words), restart=RestartPolicy(), env=self._environment_of_child(port)
        )

    def _choose_again(self, name: str) -> None:
        """Take another port for the simulator or the model: one that was free when it was chosen is not any more."""
        self._report(f"the port of the {name} was taken before it had it; another one is chosen")
        self.plan = self.plan.with_another_port(name)
        asking = {SIMULATOR: [role.name for role in self.plan.producers], MODEL: [MODEL, "regimes"]}[name]
        for role in asking:
            self._roles.remove(role)
        self._start_roles(*(role for role in self.plan.roles if role.name in asking))

    def _environment_of_child(self, metrics_port: int) -> dict[str, str]:
        own = {**children.places(self.settings), **self.plan.environment, children.METRICS_PORT: str(metrics_port)}
        return children.environment(self.settings, own)

    def _run_to_end(self, role: Role, stop: threading.Event) -> None:
        child = self._roles.add(role.name, obflow_command(*role.words), env=self._environment_of_child(0))
        child.start()
        if child.wait(FIRST_EVENT_S, stop.is_set):
            raise FatalError(f"`obflow {' '.join(role.words)}` failed", next_step=child.log_tail())

    @property
    def _derived(self) -> list[Role]:
        """Those of the later roles that were started."""
        return [role for role in self.plan.derived if role.name in self._roles.names()]

    def _drain(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            self.tick()
            if drain.is_drained(self.settings, [role.name for role in self._derived]):
                return
            time.sleep(TICK_S)
        self._report(f"not drained within {self.patience * DRAIN_S:.0f} s; the audit says what is missing")

    def _summary(self, books_live: int) -> Summary:
        sent = [topics.topic_name(self.settings, topic) for topic in (L2, TRADES)]
        summary = Summary(messages=sum(kafka_logs.end_offsets(self.settings, sent).values()), books_live=books_live)
        shares = {"p50": 0.5, "p99": 0.99}
        summary.latency_ms = {name: self.seen.latency_quantile_ms(share) for name, share in shares.items()}
        with self.client() as client:
            summary.rows = count_rows(client, self.settings.clickhouse.database)
            summary.gaps = int(client.query(GAPS).result_rows[0][0])
        return summary

    def _audit(self, summary: Summary) -> None:
        entry = next(iter(entry_points(group=AUDIT_GROUP)))
        found: Any = entry.load()(self.settings)
        summary.factors, summary.lost, summary.duplicates = found.stored, found.lost, found.duplicates

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        now = time.monotonic()
        self._report(f"{name}: {now - begun:.1f} s (at {now - self._started_s:.1f} s)")

    def _tails(self) -> str:
        running = [self._roles.child(name) for name in self._roles.names()]
        return "\n".join(f"--- {child.name}\n{child.log_tail(5)}" for child in running)


def _hopeless(end: Ended) -> FatalError:
    """What a role that ends for good said last, in the demo's own words."""
    said = end.tail.strip().rpartition("\n")[2].removeprefix("obflow: ")
    kind = UsageError if end.exit_code == EXIT_USAGE else FatalError
    return kind(f"the demo's {end.name} cannot run: {said}")
