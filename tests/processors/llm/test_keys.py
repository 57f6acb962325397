"""Which key is sent, and that nothing of any key is ever shown (intelligence, keys)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from processors.llm.key_ring import KeyRing, ModelKey
from processors.llm.keys import MASK, Keys
from processors.llm.models_list import KeyValidity
from tests.support.patience import patient

FIRST, SECOND, THIRD = ModelKey("sk-first"), ModelKey("sk-second"), ModelKey("sk-third")


def test_the_key_before_may_be_used_for_the_overlap_and_no_longer() -> None:
    ring = KeyRing(FIRST, overlap_s=60)
    ring.rotate(SECOND, 100.0)

    assert ring.instead_of(SECOND.id, 159.9) == FIRST
    assert ring.instead_of(SECOND.id, 160.0) is None


def test_a_request_refused_with_the_key_before_is_tried_with_the_active_one() -> None:
    ring = KeyRing(FIRST)
    ring.rotate(SECOND, 100.0)

    assert ring.instead_of(FIRST.id, 9_999.0) == SECOND


def test_an_open_key_lets_one_question_through_a_probe_that_was_not_denied() -> None:
    ring = KeyRing(FIRST, probe_s=60)
    ring.open(0.0)
    assert ring.refuses()
    assert not ring.probe_is_due(59.9)
    assert ring.probe_is_due(60.0)

    ring.probed(60.0, is_denied=True)
    assert ring.refuses()
    assert not ring.probe_is_due(119.9)

    ring.probed(120.0, is_denied=False)
    assert not ring.refuses()
    ring.leaves()
    assert ring.refuses(), "one, until it has succeeded"
    ring.worked(FIRST.id)
    assert not ring.refuses()


def test_a_refusal_that_is_told_again_and_again_puts_no_probe_off() -> None:
    ring = KeyRing(FIRST, probe_s=60)
    for now_s in range(0, 60, 5):
        ring.open(float(now_s))

    assert ring.probe_is_due(60.0)


def test_a_new_key_ends_what_was_refused_of_the_one_before() -> None:
    ring = KeyRing(FIRST)
    ring.open(0.0)
    ring.rotate(SECOND, 1.0)

    assert not ring.is_open
    assert ring.active == SECOND


def test_a_key_shows_its_id_and_nothing_else() -> None:
    assert "sk-first" not in repr(FIRST)
    assert FIRST.id == hashlib.sha256(b"sk-first").hexdigest()[:8]


class Endpoint:
    """Says of keys whether they are taken, when it is let."""

    def __init__(self) -> None:
        self.says: dict[str, KeyValidity] = {}
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def validate(self, key: str) -> KeyValidity:
        self.asked.append(key)
        await self.may_answer.wait()
        return self.says.get(key, KeyValidity.ACCEPTED)


class Held:
    """Keys of a file, looked at as often as a test likes."""

    def __init__(self, path: Path) -> None:
        self.path, self.endpoint, self.rejected = path, Endpoint(), list[str]()
        path.write_text("sk-first\n")
        self.ring = KeyRing(FIRST, overlap_s=60, probe_s=0.05)
        self.keys = Keys("sk-first", path, self.rejected.append, self.endpoint.validate, self.ring, look_s=0.01)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(patient(5)):
            while not condition():  # noqa: ASYNC110 (the file is what is waited for, and tells nobody)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[Held]:
    found = Held(path / "key")
    running = asyncio.create_task(found.keys.run())
    try:
        yield found
    finally:
        running.cancel()


async def test_requests_go_on_with_the_old_key_while_a_new_one_is_validated(tmp_path: Path) -> None:
    async with held(tmp_path) as found:
        found.endpoint.may_answer.clear()
        found.path.write_text("sk-second\n")
        await found.until(lambda: found.endpoint.asked == ["sk-second"])
        assert await found.keys.current() == FIRST
        found.endpoint.may_answer.set()
        await found.until(lambda: found.ring.active == SECOND)
    assert found.rejected == []


async def test_a_key_that_the_endpoint_denies_is_refused_and_the_old_one_kept(tmp_path: Path) -> None:
    async with held(tmp_path) as found:
        found.endpoint.says["sk-second"] = KeyValidity.DENIED
        found.path.write_text("sk-second\n")
        await found.until(lambda: len(found.endpoint.asked) >= 2)
        assert await found.keys.current() == FIRST
        found.endpoint.says.clear()
        await found.until(lambda: found.ring.active == SECOND)
    assert set(found.rejected) == {"KeyRefused"}


async def test_a_key_of_which_the_endpoint_says_nothing_is_taken(tmp_path: Path) -> None:
    async with held(tmp_path) as found:
        found.endpoint.says["sk-second"] = KeyValidity.UNKNOWN
        found.path.write_text("sk-second\n")
        await found.until(lambda: found.ring.active == SECOND)


async def test_what_is_no_key_is_counted_once_a_change_and_the_old_one_kept(tmp_path: Path) -> None:
    async with held(tmp_path) as found:
        for count, written in enumerate(("two words", "", "sk-ä", "x" * 5_000), 1):
            found.path.write_text(written)
            await found.until(lambda: len(found.rejected) == count)  # noqa: B023 (awaited before it changes)
            assert await found.keys.current() == FIRST
        found.path.unlink()
        await found.until(lambda: len(found.rejected) == 5)
        await found.keys.look()
    assert found.rejected == ["KeyUnusable"] * 5
    assert found.endpoint.asked == []


async def test_a_file_changed_twice_leaves_the_last_key_whatever_is_validated_first(tmp_path: Path) -> None:
    async with held(tmp_path) as found:
        found.endpoint.may_answer.clear()
        found.path.write_text("sk-second")
        await found.until(lambda: found.endpoint.asked == ["sk-second"])
        found.path.write_text("sk-third")
        await found.until(lambda: found.endpoint.asked[-1] == "sk-third")
        found.endpoint.may_answer.set()
        await found.until(lambda: found.ring.active == THIRD)
        assert found.ring.previous(0.0) == FIRST


def test_no_key_ever_seen_is_shown_not_even_one_that_another_begins_with(tmp_path: Path) -> None:
    async def see(first: str, second: str) -> Keys:
        keys = Keys(first, tmp_path / "key", lambda _: None)
        (tmp_path / "key").write_text(second)
        await keys.look()
        return keys

    for first, second in (("sk-a", "sk-abc"), ("sk-abc", "sk-a")):
        keys = asyncio.run(see(first, second))
        assert keys.masked("sk-abc is refused, and so was sk-a") == f"{MASK} is refused, and so was {MASK}"
