"""Which roles the demo starts, with which words: the same commands anybody types."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

SIMULATOR: Final = "simulator"
MODEL: Final = "model"
COMPILER: Final = "compiler"
COMPILES: Final = ("-m", "processors.compilation", "--idle")
SCRIPTED: Final = "scripted-no-model"
"""Name of the scripted endpoint's model, in every row."""
SHUTDOWN_S: Final = 60.0
"""From the first signal until all is drained and summed up, or cut off, where nothing else runs."""
DERIVED: Final = ("signals", "anomalies", "levels", "staleness", "quotes", "arbitrage")
"""Stages behind the first ones, in the order of the flow."""
LINES: Final = {"levels": "anomalies", "staleness": "anomalies"}
"""Line on the screen of stages that write into the topic of another."""
GAP_EVERY_S: Final = 180.0
"""The simulator loses an update of each book this often, on average, so that one can be seen to break, and to heal."""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


STRAYING: Final = "okx"
"""Where it is among several simulated venues, its markets stray from the others' prices, as arbitrage needs it."""
STRAY_EVERY_S: Final = 20.0


class DemoSource(StrEnum):
    """Where the demo's frames come from."""

    SIMULATOR = "simulator"
    RECORDING = "recording"
    LIVE = "live"


class Role(NamedTuple):
    """One child process: its name, the words after `obflow`, and its line on the screen, which it may share."""

    name: str
    words: tuple[str, ...]
    line: str


@dataclass(frozen=True)
class DemoPlan:
    """What to run.

    Attributes:
        source: Where the frames come from.
        symbols: Instruments of the simulator or of the live feeds, by venue; of a recording its venue alone.
        recording: The file to replay, for that source.
        workers: How many processors share the partitions.
        seconds: How long it runs; None until Ctrl-C.
        simulator_port: Where the simulator listens.
        model_port: Where a scripted endpoint answers in a language model's place; 0 where there is none.
    """

    source: DemoSource
    symbols: Mapping[str, tuple[str, ...]]
    recording: Path | None
    workers: int
    seconds: float | None
    simulator_port: int = 0
    model_port: int = 0

    @property
    def producers(self) -> tuple[Role, ...]:
        """The roles that bring frames in; stopped first."""
        if self.source is DemoSource.RECORDING:
            (venue,) = self.symbols
            words = ("replay", str(self.recording), "--venue", venue, "--speed", "1x", "--shift", "now")
            # Again, since it is begun anew where it ended by a failure.
            return (Role("replay", (*words, "--again", "--loop-for", f"{self.seconds or 86_400:g}s"), "replay"),)
        produce = tuple(
            Role(f"producer {venue}", ("produce", venue, *_each("--symbol", symbols)), "producers")
            for venue, symbols in self.symbols.items()
        )
        return produce if self.source is DemoSource.LIVE else (self._simulator, *produce)

    @property
    def _simulator(self) -> Role:
        names = (f"{venue}:{symbol}" for venue, symbols in self.symbols.items() for symbol in symbols)
        words = ("simulate", *_each("--symbol", names), "--port", str(self.simulator_port))
        words += ("--gap-every", f"{GAP_EVERY_S:g}")
        if self._strays:
            words += ("--dislocate", STRAYING, "--dislocate-every", f"{STRAY_EVERY_S:g}")
        return Role(SIMULATOR, words, SIMULATOR)

    @property
    def _strays(self) -> bool:
        return STRAYING in self.symbols and len(self.symbols) > 1

    @property
    def consumers(self) -> tuple[Role, ...]:
        """The roles that turn records into rows, the one that stores them last."""
        processors = (Role(f"processor {number}", ("process",), "processors") for number in range(1, self.workers + 1))
        model = (Role(MODEL, ("scripted-model", "--port", str(self.model_port)), MODEL),) if self.model_port else ()
        return (*processors, *model, Role("regimes", ("regimes",), "regimes"), Role("sink", ("sink",), "sink"))

    @property
    def derived(self) -> tuple[Role, ...]:
        """The roles behind those, started once there is something for them, in the order of the flow."""
        return tuple(Role(stage, ("process", "--stage", stage), LINES.get(stage, stage)) for stage in DERIVED)

    @property
    def roles(self) -> tuple[Role, ...]:
        """All of them, in the order of the flow, the one that stores last."""
        *first, sink = self.consumers
        return (*self.producers, *first, *self.derived, sink)

    @property
    def planted(self) -> str:
        """What is wrong on purpose, in words; empty where nothing is."""
        if self.source is not DemoSource.SIMULATOR:
            return ""
        strays = f", {STRAYING} strays" if self._strays else ""
        return f"an update a book is lost every {GAP_EVERY_S:g} s{strays}: planted, on purpose"

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the roles that depend on the plan alone."""
        found: dict[str, str] = {}
        if self.model_port:
            found |= {
                "OBFLOW_REGIMES__BASE_URL": f"http://127.0.0.1:{self.model_port}/v1",
                "OBFLOW_REGIMES__MODEL": SCRIPTED,
            }
        if self.source is DemoSource.SIMULATOR:
            found |= {
                "OBFLOW_PRODUCER__WEBSOCKET_URL": f"ws://127.0.0.1:{self.simulator_port}",
                "OBFLOW_PRODUCER__REST_URL": f"http://127.0.0.1:{self.simulator_port}",
                "OBFLOW_PRODUCER__SOURCE": "simulator",
            }
        return found

    def with_another_port(self, name: str) -> DemoPlan:
        """The same with another port for the simulator or the scripted endpoint: that one was taken meanwhile."""
        return replace(self, simulator_port=free_port()) if name == SIMULATOR else replace(self, model_port=free_port())


def _each(flag: str, values: Iterable[str]) -> tuple[str, ...]:
    """A flag that is given again for each value."""
    return tuple(word for value in values for word in (flag, value))
