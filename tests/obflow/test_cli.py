"""The command line: lazy, uniform, one sentence an error."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from obflow import cli

MODULE = '''
"""A package's commands."""
from pathlib import Path
from typing import Annotated
import typer
from obflow.cli import JsonFlag, emit_json, load_settings
from schemas.errors import BrokerUnreachable, MessageError

group = typer.Typer(help="Things in a group.")

def hello(name: str, partitions: Annotated[int | None, typer.Option()] = None, json: JsonFlag = False) -> None:
    """Greet somebody.

    Example: obflow hello world
    """
    settings = load_settings({"kafka.partitions": partitions})
    emit_json({"name": name, "partitions": settings.kafka.partitions, "level": settings.log.level, "path": Path("x")})

def unreachable() -> None:
    """Look for a broker."""
    raise BrokerUnreachable("no Kafka broker answers at 127.0.0.1:1", next_step="start one with `obflow kafka`")

def several() -> None:
    """Fail in a task group."""
    raise ExceptionGroup("tasks", [ValueError("other"), ExceptionGroup("inner", [MessageError("bad")])])

def bug() -> None:
    """Fail unexpectedly."""
    raise KeyError("x")

def leak() -> None:
    """Fail unexpectedly, with an address."""
    raise ValueError("no answer at http://user:hunter2@host/v1?api_key=hunter2")

def partly() -> int:
    """Answer with a code of its own."""
    return 1

@group.command()
def apply() -> None:
    """Apply."""
    load_settings()

@group.command()
def check() -> None:
    """Check."""
'''
NAMES = ("hello", "unreachable", "several", "bug", "leak", "partly", "group")


@pytest.fixture(autouse=True)
def _commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of one made-up package, and one whose package is not there."""
    (tmp_path / "madeup_commands.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    entries = {name: EntryPoint(name, f"madeup_commands:{name}", cli.COMMAND_GROUP) for name in NAMES}
    entries["hello partly"] = EntryPoint("hello partly", "madeup_commands:partly", cli.COMMAND_GROUP)
    entries["gone"] = EntryPoint("gone", "nowhere.commands:gone", cli.COMMAND_GROUP)
    monkeypatch.setattr(cli, "command_entries", lambda: entries)
    monkeypatch.setattr("obflow.logs.configure", lambda settings: None)
    monkeypatch.delitem(sys.modules, "madeup_commands", raising=False)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class TestListing:
    def test_help_lists_every_command_in_a_line_without_importing_any(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, "--help")
        assert code == 0
        for text in ("Greet somebody.", "Things in a group.", "Look for a broker."):
            assert text in out
        assert "madeup_commands" not in sys.modules

    def test_a_command_whose_package_is_not_there_does_not_break_the_list(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, out, _ = run(capsys, "--help")
        assert "gone" in out
        assert "(not installed)" in out

    def test_a_commands_help_names_its_options_and_the_common_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, "hello", "--help")
        assert code == 0
        for text in ("Example: obflow hello world", "--partitions", "--json", "--config", "--set", "--verbose"):
            assert text in out

    def test_the_version_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, "--version")[:2] == (0, "obflow 0.1.0\n")


def test_a_command_of_two_words_stands_beside_that_of_its_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "hello", "partly") == (1, "", "")
    assert json.loads(run(capsys, "hello", "world")[1])["name"] == "world"
    assert "Example: obflow hello world" in run(capsys, "hello", "--help")[1]
    assert "Answer with a code of its own." in run(capsys, "hello", "partly", "--help")[1]


class TestOptions:
    def test_json_is_one_object_on_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, "hello", "world", "--json")
        assert code == 0
        assert json.loads(out) == {"name": "world", "partitions": 24, "level": "info", "path": "x"}
        assert out.count("\n") == 1

    def test_any_setting_can_be_given_as_a_flag(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, out, _ = run(capsys, "hello", "x", "--set", "kafka.partitions=3", "--set", "log.level=error")
        assert (json.loads(out)["partitions"], json.loads(out)["level"]) == (3, "error")

    def test_a_commands_own_flag_beats_set(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, out, _ = run(capsys, "hello", "x", "--set", "kafka.partitions=3", "--partitions", "5")
        assert json.loads(out)["partitions"] == 5

    def test_config_names_the_file(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "other.toml").write_text("[kafka]\npartitions = 7\n")
        _, out, _ = run(capsys, "hello", "x", "--config", "other.toml")
        assert json.loads(out)["partitions"] == 7

    def test_verbose_logs_in_detail(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, out, _ = run(capsys, "hello", "x", "-v")
        assert json.loads(out)["level"] == "debug"

    def test_one_invocations_options_do_not_reach_the_next(self, capsys: pytest.CaptureFixture[str]) -> None:
        run(capsys, "hello", "x", "--set", "kafka.partitions=3")
        _, out, _ = run(capsys, "hello", "x")
        assert json.loads(out)["partitions"] == 24

    def test_commands_of_a_group_have_them_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, _, err = run(capsys, "group", "apply", "--set", "kafka.partition=3")
        assert code == 2
        assert "did you mean kafka.partitions?" in err


class TestErrors:
    """Each is one line on standard error, with the cause, the next step and the exit code."""

    @pytest.mark.parametrize(
        ("words", "code", "sentence"),
        [
            (["helo"], 2, "obflow: there is no command 'helo': did you mean `obflow hello`?\n"),
            (["zzzz"], 2, "obflow: there is no command 'zzzz': `obflow --help` lists them\n"),
            (
                ["group", "aply"],
                2,
                "obflow: no such command 'aply'. Did you mean 'apply'?; see `obflow group --help`\n",
            ),
            (["hello"], 2, "obflow: missing argument 'name'; see `obflow hello --help`\n"),
            (["hello", "x", "--set", "a"], 2, "obflow: --set a has no value: write it as --set section.name=value\n"),
            (
                ["unreachable"],
                3,
                "obflow: no Kafka broker answers at 127.0.0.1:1: start one with `obflow kafka`\n",
            ),
            (["several"], 1, "obflow: bad\n"),
            (["bug"], 1, "obflow: unexpected KeyError: 'x'; -v shows where\n"),
            (
                ["gone"],
                3,
                "obflow: the command gone cannot be loaded (No module named 'nowhere'):"
                " `make setup` installs what is missing\n",
            ),
        ],
    )
    def test_an_error_is_one_sentence(
        self, capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
    ) -> None:
        assert run(capsys, *words) == (code, "", sentence)

    @pytest.mark.parametrize(("word", "code"), [("bug", 1), ("unreachable", 3)])
    def test_verbose_adds_the_traceback(self, capsys: pytest.CaptureFixture[str], word: str, code: int) -> None:
        got, _, err = run(capsys, word, "-v")
        assert got == code
        assert "Traceback (most recent call last)" in err
        assert "madeup_commands.py" in err

    def test_credentials_of_an_address_are_in_no_error_and_no_traceback(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(capsys, "leak") == (
            1,
            "",
            "obflow: unexpected ValueError: no answer at http://**********@host/v1?api_key=**********"
            "; -v shows where\n",
        )
        code, _, err = run(capsys, "leak", "-v")
        assert code == 1
        assert err.count("http://**********@host") == 3  # the line that raised, the exception and the sentence
        assert "ValueError" in err

    def test_a_command_may_answer_with_a_code_of_its_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, "partly") == (1, "", "")

    def test_a_group_without_a_command_says_so(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, "group") == (2, "", "obflow: missing command; see `obflow group --help`\n")

    def test_the_bare_program_shows_what_it_can_do(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = run(capsys)
        assert (code, err) == (2, "")
        assert "Greet somebody." in out


def test_help_imports_nothing_that_a_listing_does_not_need() -> None:
    """This is what keeps `obflow --help` fast: the heavy modules stay out."""
    script = (
        "import sys; from obflow.cli import main; code = main(['--help']);"
        "heavy = {'pydantic', 'confluent_kafka', 'faust', 'aiokafka', 'numpy', 'clickhouse_connect', 'chdb', 'uvloop',"
        " 'structlog', 'prometheus_client', 'orjson', 'asyncio', 'pyarrow', 'fastavro', 'numba'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
