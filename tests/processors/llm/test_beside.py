"""Which stage has a language model beside it, and what its settings must agree on, said before anything starts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from obflow.metrics import Metrics
from obflow.settings import Settings
from processors.contract import Emit
from processors.llm.beside import BESIDE, is_asked, open_asker
from processors.regimes.state import RegimeState, close_windows
from processors.settings import RegimeSettings
from processors.stages import STAGES
from schemas.codec import decode
from schemas.errors import UsageError
from schemas.messages import LlmCall
from schemas.topics import LLM_CALLS, REGIMES, ROLLOUT
from tests.processors.regimes.generated import RULES, Market, record
from tests.support.patience import patient


@dataclass
class WantsAnswers:
    """The partition that the answers belong to."""

    partition: int = 7
    owned: bool = True


def settings(**regimes: object) -> Settings:
    return Settings(regimes=RegimeSettings(**regimes))  # type: ignore[arg-type] # changes of a parametrised test


@pytest.mark.parametrize(
    ("chosen", "asked"),
    [
        ({}, False),
        ({"model": "m"}, False),
        ({"base_url": "http://127.0.0.1:1/v1"}, True),
        ({"api_key": SecretStr("k")}, True),
    ],
)
def test_a_model_is_asked_where_an_endpoint_or_a_key_is_set(chosen: dict[str, object], asked: bool) -> None:
    assert is_asked(settings(**chosen).regimes) is asked


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"base_url": "http://127.0.0.1:1/v1"}, "name regimes.model"),
        ({"base_url": "http://127.0.0.1:1/v1", "model": "m", "budget_usd_per_day": 1.0}, "what the model m costs"),
        ({"base_url": "127.0.0.1:1", "model": "m"}, "no address"),
        ({"base_url": "ftp://host/v1", "model": "m"}, "no address"),
        ({"base_url": "http://[::1", "model": "m"}, "no address"),
        ({"base_url": "http://host:99999/v1", "model": "m"}, "no address"),
        ({"base_url": "http://me:secret@host/v1", "model": "m"}, "credentials"),
        ({"base_url": "http://host/v1?key=secret", "model": "m"}, "credentials"),
        ({"api_key": SecretStr("two words"), "model": "m"}, "no key"),
    ],
)
async def test_an_asker_that_cannot_work_is_refused_with_a_sentence(chosen: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        open_asker(settings(**chosen).regimes, Metrics("regimes"), lambda *_: None)
    assert "secret" not in str(raised.value)
    assert "two words" not in str(raised.value)


def test_a_key_from_a_file_has_the_model_asked(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k-1\n")
    loaded = Settings.load({"regimes.api_key_file": str(tmp_path / "key")})
    assert is_asked(loaded.regimes)
    (tmp_path / "key").write_text("\n")
    assert not is_asked(Settings.load({"regimes.api_key_file": str(tmp_path / "key")}).regimes)


def test_only_stages_that_there_are_have_anybody_beside_them() -> None:
    assert BESIDE.keys() <= STAGES.keys()


async def test_an_answer_and_its_row_leave_in_their_instruments_partition_at_once() -> None:
    chosen = settings(base_url="http://127.0.0.1:1/v1", model="m", deadline_seconds=0.5)
    sent: list[tuple[int, Emit]] = []
    asker = BESIDE["regimes"].open(chosen, Metrics("regimes"), lambda partition, emit: sent.append((partition, emit)))
    assert asker is not None
    [*_, closed] = close_windows(RegimeState(), record(Market(3).events(800)), RULES, lambda _: None)
    asker.enqueue("binance-futures:BTCUSDT", closed, WantsAnswers())
    running = asyncio.create_task(asker.run())
    async with asyncio.timeout(patient(5)):
        while not sent:  # noqa: ASYNC110 (the row of a refused connection; nothing tells of it but itself)
            await asyncio.sleep(0.01)
    running.cancel()
    await asker.close()
    (partition, emit), *_ = sent
    assert (partition, emit.topic, emit.key, emit.source_offset) == (7, LLM_CALLS, "binance-futures:BTCUSDT", None)
    assert isinstance(decode(emit.value), LlmCall)
    assert set(BESIDE["regimes"].writes) == {REGIMES, LLM_CALLS, ROLLOUT}
