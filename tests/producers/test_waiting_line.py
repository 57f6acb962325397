"""What waits between sockets and whoever handles it."""

from __future__ import annotations

import asyncio

from producers.live.waiting_line import WaitingLine


async def a_socket(line: WaitingLine[str], name: str) -> None:
    """Has always more to say."""
    while True:
        await line.put(name)


async def test_under_a_flood_an_answer_comes_as_soon_as_what_was_before_it_is_taken() -> None:
    line = WaitingLine[str](8)
    flood = asyncio.create_task(a_socket(line, "socket"))
    await asyncio.sleep(0)
    answer = asyncio.create_task(line.put("answer"))
    await asyncio.sleep(0)
    taken = [line.take() for _ in range(10)]
    assert taken == ["socket"] * 9 + ["answer"]
    await answer
    flood.cancel()


async def test_of_two_sockets_with_always_more_to_say_each_gets_its_turn() -> None:
    line = WaitingLine[str](4)
    floods = [asyncio.create_task(a_socket(line, name)) for name in ("first", "second")]
    taken = []
    for _ in range(200):
        taken.append(await line.get())
        await asyncio.sleep(0)
    assert taken[10:].count("second") >= 80
    assert taken[10:].count("first") >= 80
    for flood in floods:
        flood.cancel()


async def test_a_socket_is_kept_while_the_line_is_full() -> None:
    line = WaitingLine[int](2)

    async def put_three() -> None:
        for number in range(3):
            await line.put(number)

    putting = asyncio.create_task(put_three())
    await asyncio.sleep(0)
    assert not putting.done()
    assert [await line.get() for _ in range(3)] == [0, 1, 2]
    await putting


async def test_whoever_gives_up_while_it_waits_leaves_nothing_behind() -> None:
    line = WaitingLine[str](1)
    await line.put("first")
    given_up, patient = (asyncio.create_task(line.put(name)) for name in ("given up", "patient"))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    assert [await line.get(), await line.get()] == ["first", "patient"]
    await patient
    assert line.is_empty


async def test_whoever_takes_waits_until_something_comes() -> None:
    line = WaitingLine[str](1)
    taking = asyncio.create_task(line.get())
    await asyncio.sleep(0)
    assert not taking.done()
    await line.put("came")
    assert await taking == "came"
