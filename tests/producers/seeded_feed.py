"""A venue's adapter, streams and gate on a simulated venue in virtual time: no socket, no clock, a plan of faults.

Each update is judged when it comes, by the venue's own numbers: one that follows leaves a LIVE book LIVE, one before
which something is missing does not; and a LIVE book is the venue's own, level by level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import NamedTuple

from producers.books.options import StreamOptions
from producers.books.router import FrameRouter
from producers.books.stream import InstrumentStream
from producers.contract import Fetch, Say
from producers.exchanges import EXCHANGES
from producers.list_changes import compare_lists
from producers.live.gate import HostGate, Refusal
from producers.messages import Frame, Instrument, InstrumentList, Reply, Via
from producers.simulator.contract import SimulatedVenue, encode_event
from producers.simulator.events import Damage, DepthUpdate, MarketEvent, StreamKind
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.faults import Fault as Injected
from producers.simulator.session import VenueSession
from producers.simulator.true_book import WholeBook
from schemas.errors import Backpressure
from schemas.messages import FeedState, Kind, L2Record, Reason
from schemas.units import NS_PER_MS, NS_PER_SECOND
from tests.producers.seeded_plan import Fault, Happening

START_NS = 1_704_067_200 * NS_PER_SECOND
STEP_NS = 50 * NS_PER_MS
STALE_NS = NS_PER_SECOND
LIST_EVERY_NS = 400 * NS_PER_MS
AGAIN_NS = 300 * NS_PER_MS
"""Between two requests for one book, and between two handshakes."""
CLOCK_STEP_S = 2.0
LEVELS = 120
INJECTED = {
    Fault.GAP: (Injected.GAP, Damage.CUT),
    Fault.DUPLICATE: (Injected.DUPLICATE, Damage.CUT),
    Fault.DISORDER: (Injected.DISORDER, Damage.CUT),
    Fault.CUT_FRAME: (Injected.CORRUPT, Damage.CUT),
    Fault.BAD_NUMBER: (Injected.CORRUPT, Damage.NUMBER),
    Fault.CHECKSUM: (Injected.CHECKSUM, Damage.CUT),
    Fault.UNASKED_BOOK: (Injected.SNAPSHOT, Damage.CUT),
}


class _Asked(NamedTuple):
    """A request under way: when the venue serves it, when its answer comes, and what that is by then."""

    symbol: str
    path: str
    passed_ns: int
    serve_ns: int
    arrive_ns: int
    body: bytes | None = None


class SeededFeed:
    """One venue with two instruments, and its client.

    Args:
        played: The venue.
        seed: Of the market, and of the network's delays.
        plan: What goes wrong, by time.

    Attributes:
        counted: Updates that came, and what was found in them.
    """

    def __init__(self, played: SimulatedVenue, seed: int, plan: Sequence[Happening]) -> None:
        self.adapter = EXCHANGES[played.name]
        self.symbols = played.listed[:2]
        levels = played.rules.depth_levels + 10 if played.rules.depth_levels else LEVELS
        self.venue = SimulatedExchange(
            played, self.symbols, seed=seed, start_ns=START_NS, changes_per_second=40.0, opening_levels=levels
        )
        self.counted: Counter[str] = Counter()
        self.listed = self._read_list()
        self.router = FrameRouter(self.adapter, self.listed, StreamOptions(stale_ns=STALE_NS))
        self.session: VenueSession | None = None
        self._plan = list(plan)
        self._random = Random(f"network:{seed}").random
        self._connect_ns = START_NS
        self._list_ns = START_NS + LIST_EVERY_NS
        self._heard: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._lost: Counter[str] = Counter()
        self._asked: dict[str, _Asked] = {}
        self._not_before: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._missing: frozenset[str] = frozenset()
        self._lists_to_read = 0
        self._muted_ns = 0
        self._our_step_ns = self._venue_step_ns = 0
        self._refusals: list[tuple[int, float]] = []
        self._closed_ns = self._no_connections_ns = self._slow_ns = 0
        self._gate = HostGate(self.adapter.limits, clock=self)

    # -- the clocks: ours may be stepped, that of intervals not

    def now_ns(self) -> int:
        """Our time, ns UTC."""
        return self.venue.now_ns + self._our_step_ns

    def monotonic_ns(self) -> int:
        """What no step moves."""
        return self.venue.now_ns

    # -- time passes

    def play(self, seconds: float) -> None:
        """Let so much time pass."""
        until_ns = self.venue.now_ns + int(seconds * NS_PER_SECOND)
        while self.venue.now_ns < until_ns:
            self._step()

    def heal(self, seconds: float) -> None:
        """Let time pass until every book is LIVE, and still is after two more updates; so many seconds at most."""
        until_ns = self.venue.now_ns + int(seconds * NS_PER_SECOND)
        while self.venue.now_ns < until_ns:
            self._step()
            if self._is_whole():
                self.play(0.2)
                if self._is_whole():  # nothing that was injected still waited for its update
                    return

    def _is_whole(self) -> bool:
        is_quiet = not self._plan and not self._muted_ns and not self._lists_to_read
        return is_quiet and all(stream.is_live for stream in self.router.streams.values())

    def _step(self) -> None:
        while self._plan and START_NS + self._plan[0].at_ms * NS_PER_MS <= self.venue.now_ns:
            self._befall(self._plan.pop(0))
        self._end_silence()
        if self.session is None and self.venue.now_ns >= self._connect_ns:
            self._connect()
        self._serve_requests()
        for item in self.venue.advance(self.venue.now_ns + STEP_NS):
            if isinstance(item, Disconnect):
                self._lose_connection()
            elif self.session is not None and not self._muted_ns and self.session.hears(item):
                self._take(item)
        self._ask_for_books()
        self._compare_lists()
        for stream in self.router.streams.values():
            stream.feed.on_look(self.now_ns())

    # -- what goes wrong

    def _befall(self, happening: Happening) -> None:
        fault, now, much = happening.fault, self.venue.now_ns, happening.much
        symbol = self.symbols[happening.which]
        self.counted[fault.name] += 1
        if fault in INJECTED:
            kind, damage = INJECTED[fault]
            self.venue.inject(kind, symbol, damage=damage)
        elif fault is Fault.DISCONNECT:
            self._lose_connection()
        elif fault is Fault.HALF_OPEN and self.session is not None:
            self._muted_ns = now
        elif fault is Fault.REFUSED_CONNECTIONS:
            self._no_connections_ns = now + int(1.5 * much * NS_PER_SECOND)
            self._lose_connection()
        elif fault is Fault.TICK_SIZE:
            self.venue.refine(symbol)
            self._lists_to_read = max(1, self._lists_to_read)
        elif fault is Fault.DELISTING:
            self.venue.delist(self.symbols[1])
            self._lists_to_read = 2
        elif fault is Fault.OUR_CLOCK:
            self._our_step_ns += int((2 * much - 1) * CLOCK_STEP_S * NS_PER_SECOND)
        elif fault is Fault.VENUE_CLOCK:
            self._venue_step_ns += int((2 * much - 1) * CLOCK_STEP_S * NS_PER_SECOND)
        elif fault is Fault.REFUSED_REQUESTS:
            self._refusals += [(429, 1.0)] if much < 0.7 else [(418, 2.0), (429, 0.0)]
            self._lose_connection()  # so that there is something to ask for
        elif fault is Fault.SLOW_BOOKS:
            self._slow_ns = now + 2 * NS_PER_SECOND

    def _lose_connection(self) -> None:
        if self.session is not None:
            self.session, self._muted_ns = None, 0
            self._asked.clear()
            self._heard.clear()
            self._connect_ns = self.venue.now_ns + int(self._random() * AGAIN_NS)
            self._handle(Via.DISCONNECT)
            assert not any(stream.is_live for stream in self.router.streams.values()), "LIVE without a connection"

    def _end_silence(self) -> None:
        """Lose a connection that brings nothing, once its feeds have told so."""
        silent_ns = self.venue.now_ns - self._muted_ns if self._muted_ns else 0
        if silent_ns > STALE_NS + 2 * STEP_NS:
            states = {stream.feed.state for stream in self.router.streams.values() if stream.is_live}
            patience_ns = STALE_NS + int(8 * CLOCK_STEP_S * NS_PER_SECOND)  # our own clock may have gone back meanwhile
            assert states <= {FeedState.STALE} or silent_ns < patience_ns, "nobody says that nothing comes"
            if states <= {FeedState.STALE}:
                self._lose_connection()

    # -- the connection

    def _connect(self) -> None:
        now = self.venue.now_ns
        if self._gate.wait_s():
            return
        passed_ns = _at_once(self._gate.handshake())
        if now < self._no_connections_ns:
            self.counted["handshakes_refused"] += 1
            self._connect_ns = now + AGAIN_NS
            self._gate.welcome(passed_ns)
            return
        self._gate.welcome(passed_ns)
        self.session = VenueSession(self.venue, self.adapter.websocket_path(self.symbols[0]), now)
        self._handle(Via.CONNECT)
        self._say([*self.adapter.keepalive.begin, *self.adapter.subscribe(list(self.router.streams))])

    def _say(self, says: Sequence[Say]) -> None:
        for say in says if self.session is not None and not self._muted_ns else ():
            for said in self.session.receive(say.raw.decode(), self.venue.now_ns):  # type: ignore[union-attr]
                if isinstance(said, str):
                    self._handle(Via.WS, said)
                else:
                    self._take(said)

    def _handle(self, via: Via, text: str = "", request: str = "") -> list[object]:
        handled = self.router.handle(Frame(self.now_ns(), via, "1", request, text.encode()))
        self._say([Say(notice.raw) for notice in handled.notices if isinstance(notice, Reply)])
        return list(handled.records)

    # -- what comes over it

    def _take(self, event: MarketEvent) -> None:
        step = self._venue_step_ns
        shown = event._replace(matched_ns=event.matched_ns + step, sent_ns=event.sent_ns + step) if step else event
        text = encode_event(self.venue.venue, shown)
        stream = self.router.streams.get(event.spec.symbol)
        if event.stream is not StreamKind.DEPTH or stream is None:
            self._handle(Via.WS, text)
            return
        was_live, gaps = stream.is_live, stream.counters.gaps
        expected = self._expected(event)
        self._handle(Via.WS, text)
        if was_live:
            self.counted[expected] += 1
            assert stream.is_live is (expected in ("follows", "repeats", "whole", "cut")), (expected, stream.reason)
            assert stream.counters.gaps - gaps == (expected == "gap"), expected
        if stream.is_live:
            assert self.is_true(stream), "a LIVE book is not the venue's"

    def _expected(self, event: MarketEvent) -> str:
        """What the client has to find in a depth event, by the venue's own numbers."""
        what, symbol = event.what, event.spec.symbol
        if event.damage in (Damage.CUT, Damage.NUMBER):
            return str(event.damage)
        heard = self._heard.get(symbol)
        if isinstance(what, WholeBook):
            self._heard[symbol] = what.sequence
            self._note_numbers(symbol, what.sequence, what.sequence)
            return "whole"
        assert isinstance(what, DepthUpdate)
        self._note_numbers(symbol, what.previous_id, what.last_id)
        if heard is not None and what.last_id <= heard:
            return "repeats"
        self._heard[symbol] = what.last_id
        if heard is not None and what.previous_id != heard:
            return "gap"
        return "checksum" if event.damage is Damage.CHECKSUM else "follows"

    def _note_numbers(self, symbol: str, previous: int, last: int) -> None:
        newest = self._newest.get(symbol, previous)
        self._lost[symbol] += max(0, previous - newest)
        self._newest[symbol] = max(newest, last)

    def counts_its_losses(self, stream: InstrumentStream) -> bool:
        """Whether a feed has lost what the venue's numbers say that it has."""
        return stream.advance().lost == self._lost[stream.instrument.symbol]

    def is_true(self, stream: InstrumentStream) -> bool:
        """Whether a book is the venue's own at its number, as far as the venue shows it."""
        symbol, levels = stream.instrument.symbol, self.venue.venue.rules.depth_levels or None
        now = self.venue.true_book(symbol, limit=levels)
        sequence = stream.tracked.sequence
        true = now if now.sequence == sequence else self.venue.true_book(symbol, sequence, levels)
        theirs = _ratio(self.venue.specs[symbol].tick_size, stream.kept.grid.price.step)
        book = stream.book
        return (_in_steps(book.bids.lots, 1), _in_steps(book.asks.lots, 1)) == (
            _in_steps(dict(true.bids), theirs),
            _in_steps(dict(true.asks), theirs),
        )

    # -- books that are asked for

    def _ask_for_books(self) -> None:
        for symbol, stream in list(self.router.streams.items()):
            if stream.is_live:
                self._failed.pop(symbol, None)
            is_late = self.venue.now_ns < self._not_before[symbol]
            if stream.needs_snapshot and symbol not in self._asked and not is_late and self.session is not None:
                way = self.adapter.recover(symbol, self._failed[symbol])
                self._failed[symbol] += 1
                self._not_before[symbol] = self.venue.now_ns + AGAIN_NS
                if isinstance(way, Fetch):
                    self._fetch(symbol, way)
                else:
                    self._say(way)

    def _fetch(self, symbol: str, way: Fetch) -> None:
        now, passed_ns = self.venue.now_ns, self._passed(way.weight)
        if passed_ns is None:
            return
        takes_ns = int((0.05 + 0.2 * self._random() + (now < self._slow_ns)) * NS_PER_SECOND)
        serve_ns = now + int(takes_ns * self._random())
        self._asked[symbol] = _Asked(symbol, way.path, passed_ns, serve_ns, now + takes_ns)

    def _passed(self, weight: int) -> int | None:
        """When a request passed the gate; None where it is sent back."""
        try:
            with self._gate.paid(weight) as passed_ns:
                assert self.venue.now_ns >= self._closed_ns, "a request before the time that the venue named"
                return passed_ns
        except Backpressure:
            return None

    def _serve_requests(self) -> None:
        for asked in list(self._asked.values()):
            if asked.body is None and self.venue.now_ns >= asked.serve_ns:
                if self._is_refused(asked.passed_ns):
                    del self._asked[asked.symbol]
                    continue
                body = self.venue.get(asked.path).body.encode()
                self._asked[asked.symbol] = asked = asked._replace(body=body)
            if asked.body is not None and self.venue.now_ns >= asked.arrive_ns:
                del self._asked[asked.symbol]
                self._gate.welcome(asked.passed_ns)
                self._handle(Via.REST, asked.body.decode(), asked.path)

    def _is_refused(self, passed_ns: int) -> bool:
        if not self._refusals:
            return False
        status, wait_s = self._refusals.pop(0)
        headers = (("Retry-After", f"{wait_s:g}"),) if wait_s else ()
        waits_s = self._gate.refuse(passed_ns, Refusal(status, headers))
        assert waits_s >= wait_s
        self._closed_ns = self.venue.now_ns + int(waits_s * NS_PER_SECOND)
        self.counted["requests_refused"] += 1
        return True

    # -- the list of instruments

    def _read_list(self) -> dict[str, Instrument]:
        found: dict[str, Instrument] = {}
        for fetch in self.adapter.listings():
            body = self.venue.get(fetch.path).body.encode()
            for message in self.adapter.parse(Frame(START_NS, Via.REST, "", fetch.path, body)):
                if isinstance(message, InstrumentList):
                    found.update({each.symbol: each for each in message.instruments if each.symbol in self.symbols})
        return found

    def _compare_lists(self) -> None:
        if self.venue.now_ns < self._list_ns:
            return
        self._list_ns += LIST_EVERY_NS
        passed_ns = self._passed(1)
        if passed_ns is None or self._is_refused(passed_ns):
            return
        self._gate.welcome(passed_ns)
        self._lists_to_read = max(0, self._lists_to_read - 1)
        listed = InstrumentList(tuple(self._read_list().values()))
        produced = {symbol: stream.instrument for symbol, stream in self.router.streams.items()}
        changes = compare_lists(produced, listed, lambda _: False, self._missing)
        self._missing = changes.missing
        for instrument in changes.regridded:
            self.router.streams[instrument.symbol].on_relisting(instrument, self.now_ns())
        for ended in changes.ended:
            self._end(ended.symbol, ended.why)

    def _end(self, symbol: str, why: str) -> None:
        self.counted["delisted"] += 1
        self._asked.pop(symbol, None)
        said = self.router.end(symbol, self.now_ns(), why, delisted=True)
        (invalid,) = [record for record in said if isinstance(record, L2Record)]
        assert (invalid.kind, invalid.reason) == (Kind.INVALID, Reason.DELISTED)


def _at_once(coroutine: Coroutine[object, None, int]) -> int:
    """What a coroutine gives that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return int(ended.value)
    raise AssertionError("it waits")


@lru_cache
def _ratio(theirs: str, ours: str) -> Decimal:
    return Decimal(theirs) / Decimal(ours)


def _in_steps(side: dict[int, int], times: Decimal | int) -> dict[object, int]:
    """A side in steps of so many to one; a price that is no whole step stays what it is, and equals none."""
    return dict(side) if times == 1 else {tick * times: lots for tick, lots in side.items()}
