"""Does what an advice says: finds it in what was printed, runs the commands in it, with the settings of a test."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest

from obflow.cli import main
from obflow.settings import Settings
from schemas.errors import PipelineError

TIMES = 3
"""How often an advice is followed: what it promises has to hold each time."""
FILLED_IN = "{…}"
Run = Callable[..., str]


def advice_in(text: str, sentence: str) -> str:
    """The advice as it was given.

    Args:
        text: What was printed, or an error's sentence.
        sentence: The advice as it stands in the source, with `{…}` for what is filled in.
    """
    pattern = "(.+?)".join(map(re.escape, sentence.split(FILLED_IN)))
    found = re.search(rf"{pattern}$" if sentence.endswith(FILLED_IN) else pattern, text.strip(), re.S)
    assert found, f"{sentence!r} is not in: {text}"
    return found[0]


def filled_in(text: str, sentence: str) -> list[str]:
    """What the advice was filled in with."""
    pattern = "(.+?)".join(map(re.escape, sentence.split(FILLED_IN)))
    found = re.search(rf"{pattern}$" if sentence.endswith(FILLED_IN) else pattern, text.strip(), re.S)
    assert found, f"{sentence!r} is not in: {text}"
    return list(found.groups())


def commands_in(advice: str) -> list[list[str]]:
    """The words of every `obflow …` in it."""
    return [shlex.split(words) for words in re.findall(r"`obflow ([^`]+)`", advice)]


def settings_in(advice: str) -> list[str]:
    """The settings that it names."""
    return re.findall(r"\b(?:kafka|clickhouse|producer|processor|regimes|sink|metrics)\.[a-z_]+", advice)


def flags(settings: Settings, **changed: object) -> list[str]:
    """Flags that make a command see a test's broker and database."""
    shown = {
        "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
        "kafka.topic_prefix": settings.kafka.topic_prefix,
        "kafka.partitions": settings.kafka.partitions,
        "clickhouse.host": settings.clickhouse.host,
        "clickhouse.port": settings.clickhouse.port,
        "clickhouse.user": settings.clickhouse.user,
        "clickhouse.database": settings.clickhouse.database,
        "clickhouse.password": settings.clickhouse.password.get_secret_value(),
    }
    given = shown | {key.replace("__", "."): value for key, value in changed.items()}
    return [f"--set={key}={value}" for key, value in given.items()]


def refused(call: Callable[[], object], sentence: str, error: type[PipelineError] = PipelineError) -> str:
    """The advice that a call ends with."""
    with pytest.raises(error) as raised:
        call()
    return advice_in(str(raised.value), sentence)


class Command:
    """Runs commands as the command line does.

    Args:
        capsys: Takes what they print.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run one that ends with this code; what it printed."""
        self._capsys.readouterr()
        ended = main(list(words))
        printed = self._capsys.readouterr()
        assert ended == code, f"obflow {' '.join(words)}: {ended}\n{printed.out}{printed.err}"
        return printed.out + printed.err

    def refused(self, *words: str, sentence: str, code: int = 2) -> str:
        """Run one that ends with an advice; the advice as printed."""
        return advice_in(self(*words, code=code), sentence)
