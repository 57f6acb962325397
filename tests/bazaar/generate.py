"""Writes the Bazaar's synthetic recording and what must come of it. Imports nothing of obflow: it is an oracle.

    python -m tests.bazaar.generate

Two instruments share every message. The script: whole books, normal flow with a repeated update and frames that cannot
be used, a lost update healed by watching anew, a wrong checksum healed likewise, a restart of the venue's numbers, a
lost connection.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.bazaar.market import Json, Market

FOLDER = Path(__file__).parent / "fixture"
SYMBOLS = ("OBFUSDT", "ZIGUSDT")
START_MS = 1_700_000_000_000
TICK_MS = 50


class Expected:
    """What must come of one instrument's messages."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.counts = dict.fromkeys(
            ("snapshots", "deltas_applied", "deltas_dropped", "duplicates", "gaps", "trades", "quotes_checked"), 0
        )
        self.checksums = {"ok": 0, "bad": 0}
        self.l2: list[list[object]] = []  # kind, sequence, previous sequence, reason
        self.live = False
        self.last = 0
        self.unjudged = 0  # updates that no later quote has come for

    def whole(self, said: Json) -> None:
        if self.live:
            self.unjudged = 0
        self.counts["snapshots"] += 1
        self.checksums["ok"] += 1
        self.l2.append(["snapshot", said["n"], None, None])
        self.live, self.last = True, said["n"]

    def applied(self, said: Json) -> None:
        self.counts["deltas_applied"] += 1
        self.checksums["ok"] += 1
        self.l2.append(["delta", said["n"], self.last, None])
        self.last = said["n"]
        self.unjudged += 1

    def quoted(self) -> None:
        """A quote of the book as it is: it settles every update but the one it is about."""
        self.counts["quotes_checked"] += max(0, self.unjudged - 1)
        self.unjudged = min(self.unjudged, 1)

    def invalid(self, reason: str) -> None:
        if self.live:
            self.l2.append(["invalid", self.last, None, reason])
        self.live = False

    def told(self) -> Json:
        book = self.market.whole()
        return {
            **self.counts,
            "quotes_checked": self.counts["quotes_checked"] + self.unjudged,
            "quotes_wrong": 0,
            "crossed": 0,
            "checksums_ok": self.checksums["ok"],
            "checksums_bad": self.checksums["bad"],
            "tick_size": "0.1",
            "lot_size": "0.001",
            "l2": self.l2,
            "last_sequence": self.market.n,
            "bids": book["bids"],
            "asks": book["asks"],
        }


class Script:
    """The lines, and what must come of them."""

    def __init__(self) -> None:
        self.markets = [Market(symbol, seed=7) for symbol in SYMBOLS]
        self.expected = [Expected(market) for market in self.markets]
        self.lines: list[Json] = []
        self.frames = 0
        self.now_ms = START_MS

    def write(self, via: str, raw: str = "", request: str = "") -> None:
        self.frames += via in ("ws", "rest")
        line: Json = {"received_ns": (self.now_ms + 3) * 1_000_000, "via": via, "raw": raw, "connection": "1"}
        self.lines.append({**line, "request": request} if request else line)

    def say(self, **message: object) -> None:
        self.now_ms += TICK_MS
        self.write("ws", json.dumps(message, separators=(",", ":")))

    def data(self, books: list[Json], best: list[Json] | None = None, trades: list[Json] | None = None) -> None:
        self.say(at=self.now_ms, books=books, best=best or [], trades=trades or [])

    def watch(self, *which: int) -> None:
        """Whole books, after the acknowledgements."""
        for number in which:
            self.say(done=f"watch:{SYMBOLS[number]}")
            said = self.markets[number].whole()
            self.expected[number].whole(said)
            self.data([said], [self.markets[number].best()])

    def flow(self, ticks: int) -> None:
        """Updates of both in one message, quotes behind them, a trade now and then."""
        for tick in range(ticks):
            said = [market.change() for market in self.markets]
            trades = [market.trade() for market in self.markets] if tick % 3 == 0 else []
            self.data(said, [market.best() for market in self.markets], trades)
            for expected, book in zip(self.expected, said, strict=True):
                expected.applied(book)
                expected.quoted()
                expected.counts["trades"] += bool(trades)

    def play(self) -> None:
        """The whole recording."""
        self.write("rest", json.dumps({"markets": [self.markets[0].listed()]}), "/markets?part=1")
        self.write("rest", json.dumps({"markets": [self.markets[1].listed()]}), "/markets?part=2")
        self.write("connect")
        self.say(done="beat")
        self.watch(0, 1)
        self.flow(20)
        self.oddities()
        self.lost_update()
        self.wrong_checksum()
        self.restart()
        self.lost_connection()
        self.flow(20)

    def oddities(self) -> None:
        """A repeated update, a heartbeat, the answer to a ping, and frames that cannot be used."""
        said = self.markets[0].change()
        self.data([said], [self.markets[0].best()])
        self.expected[0].applied(said)
        self.expected[0].quoted()
        self.write("ws", self.lines[-1]["raw"])
        self.expected[0].counts["duplicates"] += 1
        self.say(beat=5)
        self.write("ws", "pong")
        self.write("ws", '{"at": broken')
        self.data([], [{"s": "NONE", "n": 1, "bid": ["1", "1"], "ask": ["2", "1"]}])

    def lost_update(self) -> None:
        """An update of the first is lost; the second goes on. What follows waits, and is in the next whole book."""
        self.markets[0].change()
        self.expected[0].counts["gaps"] += 1
        self.expected[0].invalid("gap")
        for _ in range(2):
            said = [market.change() for market in self.markets]
            self.data(said, [market.best() for market in self.markets])
            self.expected[0].counts["deltas_dropped"] += 1
            self.expected[1].applied(said[1])
            self.expected[1].quoted()
        self.say(done=f"unwatch:{SYMBOLS[0]}")
        self.watch(0)

    def wrong_checksum(self) -> None:
        """An update of the second says another checksum than its book has."""
        said = self.markets[1].change()
        self.data([{**said, "sum": said["sum"] ^ 1}], [self.markets[1].best()])
        expected = self.expected[1]
        expected.applied(said)
        expected.unjudged -= 1
        expected.checksums["ok"] -= 1
        expected.checksums["bad"] += 1
        expected.invalid("checksum")
        self.say(done=f"unwatch:{SYMBOLS[1]}")
        self.watch(1)
        self.flow(5)

    def restart(self) -> None:
        """The venue's numbers begin anew: whole books of LIVE ones, without a word."""
        said = [market.restart() for market in self.markets]
        self.data(said, [market.best() for market in self.markets])
        for expected, book in zip(self.expected, said, strict=True):
            expected.whole(book)
        self.flow(5)

    def lost_connection(self) -> None:
        """A lost connection, and another one."""
        for expected in self.expected:
            expected.invalid("disconnect")
            expected.unjudged = 0
        self.write("disconnect")
        self.now_ms += 1_000
        self.write("connect")
        self.say(done="beat")
        self.watch(0, 1)


def talk() -> Json:
    """What the venue answers to what is said to it."""
    acks = {what: [json.dumps({"done": f"{what}:{symbol}"}) for symbol in SYMBOLS] for what in ("watch", "unwatch")}
    return {
        "symbols": list(SYMBOLS),
        "subscribe": acks["watch"],
        "unsubscribe": acks["unwatch"],
        "refused": ['{"no":"watch:NONE","why":"there is no market NONE"}'],
        "heartbeats": [['{"beat":17}', '{"do":"alive","n":17}']],
    }


def generate(venue: str, folder: Path) -> None:
    """Write the recording, the expectation, the metadata and the talk."""
    script = Script()
    script.play()
    folder.mkdir(exist_ok=True)
    frames = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in script.lines).encode()
    expected = {
        "frames": script.frames,
        "rejected": {"DecodeError": 1, "UnknownSymbol": 1},
        "ignored": {"pong": 1},
        "instruments": dict(zip(SYMBOLS, (found.told() for found in script.expected), strict=True)),
    }
    metadata = {
        "venue": venue,
        "source": "tests/bazaar/generate.py",
        "synthetic": True,
        "licence": "Apache-2.0",
        "sha256": {"frames.jsonl": hashlib.sha256(frames).hexdigest()},
    }
    (folder / "frames.jsonl").write_bytes(frames)
    for name, content in (("expected", expected), ("metadata", metadata), ("talk", talk())):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    generate("bazaar", FOLDER)
