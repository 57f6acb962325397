"""Which roles the demo starts, with which words: the same commands anybody types."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

SIMULATOR: Final = "simulator"
SHUTDOWN_S: Final = 60.0
"""From the first signal until all is drained and summed up, or cut off."""
GAP_EVERY_S: Final = 15.0
"""The simulator loses an update this often, on average, so that a book can be seen to break, and to heal."""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DemoSource(StrEnum):
    """Where the demo's frames come from."""

    SIMULATOR = "simulator"
    RECORDING = "recording"
    LIVE = "live"


class Role(NamedTuple):
    """One child process: its name on the screen and the words after `obflow`."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class DemoPlan:
    """What to run.

    Attributes:
        source: Where the frames come from.
        symbols: Instruments of the simulator or of the live feed.
        venue: Their venue.
        recording: The file to replay, for that source.
        workers: How many processors share the partitions.
        seconds: How long it runs; None until Ctrl-C.
        simulator_port: Where the simulator listens.
    """

    source: DemoSource
    symbols: tuple[str, ...]
    venue: str
    recording: Path | None
    workers: int
    seconds: float | None
    simulator_port: int = 0

    @property
    def producers(self) -> tuple[Role, ...]:
        """The roles that bring frames in; stopped first."""
        if self.source is DemoSource.RECORDING:
            words = ("replay", str(self.recording), "--venue", self.venue, "--speed", "1x", "--shift", "now")
            # Again, since it is begun anew where it ended by a failure.
            return (Role("replay", (*words, "--again", "--loop-for", f"{self.seconds or 86_400:g}s")),)
        names = tuple(word for symbol in self.symbols for word in ("--symbol", symbol))
        produce = Role("producer", ("produce", self.venue, *names))
        if self.source is DemoSource.LIVE:
            return (produce,)
        simulate = ("simulate", "--venue", self.venue, *names, "--port", str(self.simulator_port))
        simulate += ("--gap-every", f"{GAP_EVERY_S:g}")
        return (Role(SIMULATOR, simulate), produce)

    @property
    def consumers(self) -> tuple[Role, ...]:
        """The roles that turn records into rows, the one that stores them last."""
        processors = tuple(Role(f"processor {number}", ("process",)) for number in range(1, self.workers + 1))
        return (*processors, Role("regimes", ("regimes",)), Role("sink", ("sink",)))

    @property
    def planted(self) -> str:
        """What is wrong on purpose, in words; empty where nothing is."""
        if self.source is not DemoSource.SIMULATOR:
            return ""
        return f"loses an update on purpose every {GAP_EVERY_S:g} s on average: planted gaps"

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the roles that depend on the plan alone."""
        if self.source is not DemoSource.SIMULATOR:
            return {}
        return {
            "OBFLOW_PRODUCER__WEBSOCKET_URL": f"ws://127.0.0.1:{self.simulator_port}",
            "OBFLOW_PRODUCER__REST_URL": f"http://127.0.0.1:{self.simulator_port}",
            "OBFLOW_PRODUCER__SOURCE": "simulator",
        }
