"""The gate of a venue: who passes when, in a time of the test's own."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from itertools import combinations
from pathlib import Path

import pytest

from obflow.response_headers import LONGEST_BAN_S, LONGEST_WAIT_S
from producers.contract import VenueLimits
from producers.exchanges import EXCHANGES
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live.gate import FIRST_WAIT_S, REGION_WAIT_S, TRIAL_S, HostGate, Refusal
from producers.live.gate_state import OwnState, SharedState
from producers.live.run import gate_file
from schemas.errors import Backpressure
from schemas.units import NS_PER_SECOND
from tests.support.manual_clock import ManualClock

START_S = 1_767_225_600  # the first second of a minute
LIMITS = BINANCE_FUTURES.limits


class Door:
    """A gate, and what happened before it."""

    def __init__(
        self,
        state: OwnState | SharedState | None = None,
        clock: ManualClock | None = None,
        limits: VenueLimits = LIMITS,
    ) -> None:
        self.clock = clock or ManualClock(START_S * NS_PER_SECOND)
        self.gate = HostGate(limits, clock=self.clock, sleep=self.sleep, state=state)
        self.asked_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def now_s(self) -> float:
        return self.clock.now_ns() / NS_PER_SECOND - START_S

    async def knock(self, refusal: Refusal | None = None) -> None:
        """Come to the gate, wait, ask, and hear this."""
        passed_ns = await self.gate.handshake()
        self.asked_s.append(self.now_s)
        self.clock.advance(0.01)
        if refusal is None:
            self.gate.welcome(passed_ns)
        else:
            self.gate.refuse(passed_ns, refusal)

    def ask(self, weight: int = 1) -> float:
        """Ask over REST: for how many seconds one is sent back; 0 where one passes."""
        try:
            with self.gate.paid(weight):
                return 0.0
        except Backpressure as back:
            return back.retry_after_s


@pytest.mark.case("ban-until")
def test_told_nothing_the_wait_doubles_from_seconds_to_a_quarter_of_an_hour() -> None:
    door = Door()
    for status in (418, 429, 403, 418, 418, 429, 403, 418, 418, 418, 418, 418):
        asyncio.run(door.knock(Refusal(status, ())))

    gaps = [round(later - earlier - 0.01, 6) for earlier, later in zip(door.asked_s, door.asked_s[1:], strict=False)]
    assert gaps == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, LONGEST_WAIT_S, LONGEST_WAIT_S]


@pytest.mark.parametrize(
    ("headers", "body", "least_s"),
    [
        ((("Retry-After", "60"),), "", 60.0),
        ((("retry-after", formatdate(START_S + 90, usegmt=True)),), "", 90.0),
        ((("retry-after-ms", "2500"),), "", 2.5),
        ((), f'{{"code":-1003,"msg":"IP(192.0.2.1) banned until {(START_S + 120) * 1000}."}}', 120.0),
        ((), f'{{"error":{{"data":{{"retryAfter":{(START_S + 45) * 1000}}}}}}}', 45.0),
        ((), '{"retry_after": 7.5}', 7.5),
        ((), "Rate limit reached. Please try again in 20s.", 20.0),
        ((), "blocked; retry after 2 minutes", 120.0),
        ((), "banned until 2026-01-01T00:03:00Z", 180.0),
        ((("Retry-After", "5"),), f"banned until {START_S + 300}", 300.0),
    ],
)
@pytest.mark.case("ban-until")
def test_nobody_passes_before_the_time_the_venue_names(
    headers: tuple[tuple[str, str], ...], body: str, least_s: float
) -> None:
    door = Door()
    asyncio.run(door.knock(Refusal(418, headers, body)))

    assert least_s - 0.1 <= door.ask() <= least_s
    door.clock.advance(least_s - 0.2)
    assert door.ask() > 0.0
    asyncio.run(door.knock())
    assert door.now_s >= least_s
    assert door.ask() == 0.0


@pytest.mark.parametrize("status", [418, 429, 403])
def test_a_wait_longer_than_any_ban_there_is_lasts_a_quarter_of_an_hour(status: int) -> None:
    for told in (str(int(LONGEST_BAN_S) + 1), "1" + "0" * 10, "9" * 12):
        door = Door()
        asyncio.run(door.knock(Refusal(status, (("Retry-After", told),))))
        assert door.ask() == pytest.approx(LONGEST_WAIT_S)


def test_a_ban_may_last_for_days_and_any_other_wait_for_a_quarter_of_an_hour() -> None:
    for status, longest_s in ((418, LONGEST_BAN_S), (429, LONGEST_WAIT_S), (403, LONGEST_WAIT_S)):
        door = Door()
        asyncio.run(door.knock(Refusal(status, (("Retry-After", str(int(LONGEST_BAN_S))),))))
        assert door.ask() == pytest.approx(longest_s)


@pytest.mark.parametrize("status", [200, 400, 403, 429])
@pytest.mark.case("ban-until")
def test_a_ban_told_in_words_lasts_as_long_as_it_says_whatever_its_status(status: int) -> None:
    door, until_ms = Door(), (START_S + 7_200) * 1000
    body = f'{{"code":-1003,"msg":"Way too much request weight used; IP banned until {until_ms}."}}'
    asyncio.run(door.knock(Refusal(status, (), body, "banned")))
    assert 7_100 < door.gate.wait_s() <= 7_200


@pytest.mark.parametrize("told", ["0", "0.0", formatdate(START_S - 90, usegmt=True)])
def test_told_to_come_back_at_once_one_does_not_run_in_a_circle(told: str) -> None:
    door = Door()
    for _ in range(5):
        asyncio.run(door.knock(Refusal(429, (("Retry-After", told),))))

    assert door.now_s >= FIRST_WAIT_S * (1 + 2 + 4 + 8)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(451, ()),
        Refusal(403, (), "The distribution is configured to block access from your country."),
        Refusal(451, (), "Service unavailable from a restricted location"),
    ],
)
def test_a_venue_that_serves_nobody_here_is_asked_every_few_minutes_and_says_so(refusal: Refusal) -> None:
    door = Door()
    for _ in range(3):
        asyncio.run(door.knock(refusal))

    assert door.asked_s[1] >= REGION_WAIT_S
    assert door.asked_s[2] - door.asked_s[1] >= 2 * REGION_WAIT_S
    assert "run obflow where it does, or set producer.rest_url and producer.websocket_url" in door.gate.why


def test_where_an_answer_does_not_say_how_long_the_venues_documents_do() -> None:
    frequent = Refusal(403, (("X-Bapi-Limit-Reset-Timestamp", str(START_S * 1000)),), "403, access too frequent")
    door = Door(limits=EXCHANGES["bybit"].limits)
    for refusal in (frequent, frequent, None, Refusal(403, (), "<html>Forbidden</html>")):
        asyncio.run(door.knock(refusal))

    assert [round(asked_s) for asked_s in door.asked_s] == [0, 600, 600 + LONGEST_WAIT_S, 600 + LONGEST_WAIT_S]
    assert door.ask() == FIRST_WAIT_S


def test_a_ban_of_the_longest_kind_is_believed_though_the_venues_clock_is_ahead() -> None:
    door, until_ms = Door(), (START_S + 3 * 24 * 3600 + 90) * 1000
    asyncio.run(door.knock(Refusal(418, (), f"IP banned until {until_ms}.")))
    assert door.gate.wait_s() > 3 * 24 * 3600


def test_after_a_wait_one_asks_alone_and_the_others_once_it_was_welcome() -> None:
    door = Door()
    asyncio.run(door.knock(Refusal(429, ())))
    door.clock.advance(FIRST_WAIT_S)

    passed_ns = asyncio.run(door.gate.handshake())
    assert 0.0 < door.ask() <= TRIAL_S
    door.gate.welcome(passed_ns)
    assert door.ask() == 0.0


def test_many_that_are_refused_together_double_the_wait_once() -> None:
    door = Door()
    passed = [asyncio.run(door.gate.handshake()) for _ in range(10)]
    for passed_ns in passed:
        door.gate.refuse(passed_ns, Refusal(429, ()))
    assert door.ask() == FIRST_WAIT_S

    door.gate.welcome(passed[0])  # it had passed before the gate was closed, and says nothing of now
    assert door.ask() == FIRST_WAIT_S


def test_the_venues_own_count_decides_about_the_next_request() -> None:
    door = Door()
    door.gate.note_count(str(LIMITS.weight_per_minute - 20))

    assert door.ask(20) == 0.0
    assert door.ask(21) == 60.0
    with door.gate.paid(15):
        assert door.ask(6) == 60.0, "what is under way was not counted yet"
        assert door.ask(5) == 0.0
    door.clock.advance(60.0)
    assert door.ask(2_000) == 0.0


def test_processes_that_share_an_address_share_its_waits_and_its_weight(tmp_path: Path) -> None:
    clock = ManualClock(START_S * NS_PER_SECOND)
    one, other = (Door(SharedState(tmp_path / "made" / "v.gate.json"), clock) for _ in range(2))

    for door in (one, other, one):
        assert door.ask(600) == 0.0
    assert other.ask(600) == 60.0, "four fifths of 2,400 are used"

    asyncio.run(one.knock(Refusal(418, (("Retry-After", "300"),))))
    assert other.ask() == pytest.approx(300.0)
    clock.advance(300.0)
    asyncio.run(other.knock())
    assert one.ask() == 0.0
    alone = Door(SharedState(tmp_path / "another.gate.json"), clock)
    assert alone.ask(600) == 0.0


def test_venues_that_count_an_address_together_share_a_gate_and_no_others_do() -> None:
    shared: dict[str, set[str]] = {}
    for venue, exchange in EXCHANGES.items():
        shared.setdefault(gate_file(exchange), set()).add(venue)
    together = [venues for venues in shared.values() if len(venues) > 1]
    assert together == [{"binance-futures", "binance-delivery"}, {"bybit", "bybit-spot"}]
    for one, other in combinations(EXCHANGES.values(), 2):
        if one.endpoints.rest == other.endpoints.rest:
            assert gate_file(one) == gate_file(other)


@pytest.mark.parametrize("junk", [b"", b"[]", b'{"until_ns":"x"}', b'{"until_ns":-1}', b"\xff", b"{" * 5_000])
def test_a_file_that_is_not_from_here_closes_nothing_and_is_replaced(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "v.gate.json"
    path.write_bytes(junk)
    door = Door(SharedState(path))

    assert door.ask() == 0.0
    assert b'"spent":1' in path.read_bytes()


def test_a_file_from_after_the_end_of_time_closes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.gate.json"
    path.write_bytes(b'{"until_ns":9223372036854775807,"refusals":1}')
    assert Door(SharedState(path)).ask() == 0.0
