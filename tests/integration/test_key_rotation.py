"""A key is rotated, revoked and mended while questions are under way, by the server's count (intelligence, keys)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from processors.llm.breaker import BreakerState
from processors.llm.key_ring import KeyRing, ModelKey
from schemas.messages import CallOutcome, InstrumentKey
from tests.integration.asking import Office, office
from tests.integration.llm_server import llm_server
from tests.support.patience import patient

pytestmark = pytest.mark.integration

OLD, NEW = "sk-the-old-one-is-secret", "sk-the-new-one-is-secret"
OVERLAP_S = 2.0
"""Of 60 seconds; the server's answers take a tenth of it."""
UNDER_WAY = 50


def key_of(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{OLD}\n")
    return path


def ask_all(found: Office, window: int) -> None:
    for number in range(UNDER_WAY):
        found.ask(window, InstrumentKey("binance", f"SYM{number}"))


def shown(found: Office, capsys: pytest.CaptureFixture[str]) -> str:
    """Everything that leaves the asker: rows, events and logs."""
    captured = capsys.readouterr()
    return f"{found.calls!r}{found.events!r}{captured.out}{captured.err}"


async def test_a_rotation_with_fifty_calls_in_flight_fails_no_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the old key is never used once the overlap is over."""
    path = key_of(tmp_path)
    ring = KeyRing(ModelKey(OLD), overlap_s=OVERLAP_S)
    with llm_server("good") as server:
        server.keys = {OLD, NEW}
        async with office(
            server,
            key=OLD,
            key_file=path,
            ring=ring,
            concurrency=UNDER_WAY,
            deadline_s=patient(8.0),
            requests_per_minute=9_999,
        ) as found:
            found.ask(0)
            await found.calls_made(1)  # until a first success no more than five are under way
            server.delay_s = patient(1.0)  # until all of them are under way
            ask_all(found, 1)
            await found.until(lambda: server.under_way == UNDER_WAY, 10)
            path.write_text(f"{NEW}\n")
            server.delay_s = 0.2
            rotated_s, window = time.monotonic(), 2
            while time.monotonic() < rotated_s + OVERLAP_S:
                await found.until(lambda: len(found.calls) == 1 + (window - 1) * UNDER_WAY, 10)  # noqa: B023 (awaited before it changes)
                ask_all(found, window)
                window += 1
            await found.until(lambda: len(found.calls) == 1 + (window - 1) * UNDER_WAY, 10)
            server.keys = {NEW}
            after = len(server.asked)
            ask_all(found, window)
            await found.until(lambda: len(server.asked) == after + UNDER_WAY == len(found.calls), 10)
        assert {call.outcome for call in found.calls} == {CallOutcome.OK}
        assert {asked.key for asked in server.asked[:after]} == {OLD, NEW}
        assert {asked.key for asked in server.asked[after:]} == {NEW}
        assert server.listed == [NEW], "it was validated once, beside the questions"
    assert not any(key in shown(found, capsys) for key in (OLD, NEW))


async def test_a_key_revoked_before_its_successor_is_noticed_costs_one_more_request(tmp_path: Path) -> None:
    path = key_of(tmp_path)
    with llm_server("good") as server:
        server.keys = {NEW}
        async with office(server, key=OLD, key_file=path, deadline_s=patient(5.0)) as found:
            path.write_text(NEW)
            found.ask(1)
            await found.until(lambda: bool(found.events), 10)
        assert found.calls[-1].outcome is CallOutcome.OK
        assert len(found.calls) <= 2


async def test_inside_the_overlap_a_new_key_that_is_refused_gives_way_to_the_old_one(tmp_path: Path) -> None:
    path = key_of(tmp_path)
    with llm_server("good") as server:
        server.keys = {OLD, NEW}
        async with office(server, key=OLD, key_file=path, deadline_s=patient(5.0)) as found:
            path.write_text(NEW)
            await found.until(lambda: server.listed == [NEW], 10)
            server.keys = {OLD}
            found.ask(1)
            await found.until(lambda: bool(found.events), 10)
        assert [asked.key for asked in server.asked[-1:]] == [OLD]


@pytest.mark.advice("write a key that the endpoint takes into regimes.api_key_file")
async def test_with_a_revoked_key_the_rules_alone_judge_until_its_file_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most two requests between two probes reach the server; five seconds after the mending all is well."""
    path = key_of(tmp_path)
    probe_s = 1.0
    with llm_server("good") as server:
        server.keys = {NEW}
        async with office(server, key=OLD, key_file=path, ring=KeyRing(ModelKey(OLD), probe_s=probe_s)) as found:
            found.ask(0)
            await found.calls_made(1)
            begun_s, window = time.monotonic(), 1
            while time.monotonic() < begun_s + 3.5 * probe_s:
                found.ask(window % 50)
                window += 1
                await asyncio.sleep(0.02)
            took = (time.monotonic() - begun_s) / probe_s
            assert found.count("obflow_llm_questions_dropped_total", reason="key") > 50
            assert found.count("obflow_llm_breaker", model="small-model") == BreakerState.CLOSED, "a key is no model"
            assert len(server.asked) - 1 + len(server.listed) <= 2 * took
            assert found.events == []
            path.write_text(NEW)
            mended_s = time.monotonic()
            while not found.events:
                found.ask(window % 50)
                window += 1
                await asyncio.sleep(0.05)
                assert time.monotonic() < mended_s + patient(5)
    assert not any(key in shown(found, capsys) for key in (OLD, NEW))


async def test_an_endpoint_without_a_list_is_probed_by_one_question(tmp_path: Path) -> None:
    with llm_server("unauthorized") as server:
        server.list_status = 404
        async with office(server, key=OLD, ring=KeyRing(ModelKey(OLD), probe_s=0.5)) as found:
            found.ask(0)
            await found.calls_made(1)
            for window in range(1, 60):
                found.ask(window % 50)
                await asyncio.sleep(0.02)
            assert 2 <= len(server.asked) <= 4
            server.ways = ["good"]
            for window in range(100):
                found.ask(window % 50)
                await asyncio.sleep(0.02)
            assert len(found.events) > 2
