"""Answers of models, kept in a folder, a file a model: what was asked once is neither asked nor paid again.

A line is written as soon as its question has ended, so that a comparison that was broken off goes on where it was.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import msgspec

from processors.regimes.prompt import Prompt
from research.comparison.answers import ModelAnswer
from schemas.errors import FatalError, UsageError
from schemas.messages import CallOutcome

PLAIN: Final = re.compile(r"[^A-Za-z0-9._-]+")
NAME_CHARACTERS: Final = 60


class AnswerStore:
    """The answers of one model of one endpoint.

    Args:
        folder: Where files of answers lie; made where it is missing.
        endpoint, model: Whose.

    Attributes:
        kept: By the key of the question.

    Raises:
        UsageError: The folder cannot be used, or its file holds something else.
    """

    def __init__(self, folder: Path, endpoint: str, model: str) -> None:
        told = hashlib.sha256(f"{endpoint}\n{model}".encode()).hexdigest()[:8]
        self._folder = folder
        self._file = folder / f"{PLAIN.sub('-', model)[:NAME_CHARACTERS]}-{told}.jsonl"
        self.kept: dict[str, ModelAnswer] = {answer.key: answer for answer in self._read()}

    def require_writable(self) -> None:
        """See that answers can be kept, before one is paid for.

        Raises:
            UsageError: The folder, or the file of answers, can only be read.
        """
        try:
            TemporaryFile(dir=self._folder).close()
            if self._file.exists():
                self._file.open("ab").close()
        except OSError as error:
            raise self._unusable(error) from error

    def keep(self, answer: ModelAnswer, prompt: Prompt) -> None:
        """Write an answer down, and beside it the instructions that it was asked with, once.

        Raises:
            FatalError: That cannot be written, as on a full disk: no further question is worth its price.
        """
        instructions = self._folder / f"instructions-{prompt.hash}.txt"
        try:
            if not instructions.exists():
                instructions.write_text(prompt.system, "utf-8")
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(answer) + b"\n")
        except OSError as error:
            raise FatalError(
                f"an answer cannot be kept in {self._folder} ({error.strerror})",
                next_step="make room on the disk, then start again",
            ) from error
        self.kept[answer.key] = answer

    def forget_failures(self) -> None:
        """Have the questions asked again that brought no valid answer; what they brought stays in the file."""
        self.kept = {key: one for key, one in self.kept.items() if one.outcome is CallOutcome.OK}

    def _read(self) -> list[ModelAnswer]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        except OSError as error:
            raise self._unusable(error) from error
        return [self._answer(number, line) for number, line in enumerate(self._whole(lines), start=1)]

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(
            f"{self._folder} cannot hold answers ({error.strerror})", next_step="name another folder by --answers"
        )

    def _whole(self, lines: list[bytes]) -> list[bytes]:
        """The lines without a last one that was cut when its writer was killed: that question is asked again."""
        if lines and not self._file.read_bytes().endswith(b"\n"):
            self._file.write_bytes(b"".join(line + b"\n" for line in lines[:-1]))
            return lines[:-1]
        return lines

    def _answer(self, number: int, line: bytes) -> ModelAnswer:
        try:
            return msgspec.json.decode(line, type=ModelAnswer)
        except msgspec.MsgspecError as error:
            raise UsageError(
                f"line {number} of {self._file} is no answer of a model ({error})",
                next_step="name another folder by --answers",
            ) from error
