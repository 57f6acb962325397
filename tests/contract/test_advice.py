"""Every advice is run by a test, or says why it cannot be; none begins by destroying something.

An advice is what `next_step` and a check's remedy say. A test that does what one says is marked with it,
`@pytest.mark.advice("the sentence")`: it plants the fault, takes the sentence from what is printed, does what it says,
and does it again, two and three times; each time what the sentence promises holds. A new sentence fails here until it
has such a test, or a reason below.
"""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from obflow.cli import command_entries, load_command
from obflow.settings import reference
from tests.contract.advice import FILLED_IN, ROOT, advices, executed, modules

OURS = re.compile(r"`(?:obflow|make) |`make|(?<![\w-])--[a-z]|\bOBFLOW_[A-Z]")
"""A command, a flag or a variable of ours; settings are known by name."""
DESTROYS = re.compile(
    r"\b(delete|drop|recreate|re-create|discard|throw away|start over|remove|truncate|reset|wipe|purge|erase|destroy|"
    r"clear|rm|down -v|detach|uninstall|overwrite)\b",
    re.I,
)
OUTSIDE = "what it asks for lies outside of obflow: a disk, a network, a venue, a broker's or a database's own log"
SAYS_WHY = "it explains, and asks for nothing"
PASSED_ON = "another error's own advice, or a log's last lines, passed on as they are"
REASONS: dict[str, str] = {
    "another process may have it open, or choose another folder": OUTSIDE,
    "ask it later: it is the venue's to mend": OUTSIDE,
    "ask whoever runs it": OUTSIDE,
    "check the folder": OUTSIDE,
    "check the network, the proxy and the Maven mirror of this machine, then run the same command again; "
    "what is already downloaded is kept": OUTSIDE,
    "check the network": OUTSIDE,
    "check how the venue writes it": OUTSIDE,
    "check the symbol": OUTSIDE,
    "check the symbols": OUTSIDE,
    "name one that trades": OUTSIDE,
    "fetch it again": OUTSIDE,
    "free some of its disk": OUTSIDE,
    "install Python {…} or newer": OUTSIDE,
    "its last lines:\n{…}": PASSED_ON,
    "it gives way by itself; stop it if it does not: its trades are stored twice": SAYS_WHY,
    "give it more of the machine, or start another one beside it": "what a machine has to give is not a test's",
    "it goes on behind them; books wait for their next snapshot": SAYS_WHY,
    "it holds no book at all": SAYS_WHY,
    "its data and logs are kept, as said above": SAYS_WHY,
    "it trades again when its venue says so": SAYS_WHY,
    "it trades {…} others": SAYS_WHY,
    "it has to be PEM, the key that of the certificate, and the key's password right": SAYS_WHY,
    "its CONFIGURATION.md lists names and values": "it names a page of librdkafka's",
    "pay, or name another key and start again": OUTSIDE,
    "renew its certificate, or set this machine's clock right": OUTSIDE,
    "keep its line: logs and tables hold its values": "it is for who edits the list of factors, and says why",
    "let a time service keep the clocks of both machines": OUTSIDE,
    "look at the broker's log": OUTSIDE,
    "look at the machine's own log, then run it again": OUTSIDE,
    "nothing is asked of the venue before it is over; whoever shares its address waits too": SAYS_WHY,
    "obflow/faults.py lists them": "faults are for tests, and planted by people who read the source",
    "give the pass that is to fail": "faults are for tests, and planted by people who read the source",
    "restore it from git, or write it anew with `{…}`": "it writes the lock anew from the network's newest packages",
    "run `{…}` and commit it": "it writes the lock anew from the network's newest packages",
    "retrying in {…} s": SAYS_WHY,
    "see its log": OUTSIDE,
    "see its log for the cause": OUTSIDE,
    "see its log; the client said: {…}": OUTSIDE,
    "see whether the broker is healthy": OUTSIDE,
    "see {…}; its last lines:\n{…}": PASSED_ON,
    "see {…}{…}": PASSED_ON,
    "the log has the traceback; the partition waits at this offset": SAYS_WHY,
    "simulate them on two ports": "no two of the venues that are simulated today share an address",
    "the statement was: {…}": SAYS_WHY,
    "their books have been resynchronised since": SAYS_WHY,
    "it still lies in the log, and a table is filled from there": SAYS_WHY,
    "this is a mistake in the code: the log has the traceback": SAYS_WHY,
    "this is a mistake in the code: report it with the folder's name": SAYS_WHY,
    "try again": OUTSIDE,
    "upgrade to a version that knows it first": "there is no later version to upgrade to",
    "{child.log_tail()}": PASSED_ON,
    "{error.next_step}": PASSED_ON,
    "{failure.next_step}": PASSED_ON,
    "{self._tails()}": PASSED_ON,
}


def mentions_ours(sentence: str) -> bool:
    """Whether it names a command, a flag, a variable or a setting of ours: something a test can do."""
    return bool(OURS.search(sentence)) or any(re.search(rf"\b{re.escape(one.key)}\b", sentence) for one in reference())


@pytest.mark.parametrize("sentence", sorted(advices()))
def test_every_advice_is_run_by_a_test_or_has_a_reason(sentence: str) -> None:
    known = sentence in executed() or sentence in REASONS
    assert known, f"{advices()[sentence]}: do it in a test marked with it, or say in REASONS why nobody can"


def test_no_test_and_no_reason_is_for_an_advice_that_nobody_gives() -> None:
    assert set(executed()) - set(advices()) == set()
    assert set(REASONS) - set(advices()) == set()
    assert set(REASONS) & set(executed()) == set()


def test_what_names_a_command_a_flag_or_a_setting_of_ours_is_run_and_not_excused() -> None:
    excused = [sentence for sentence in REASONS if mentions_ours(sentence) and FILLED_IN not in sentence]

    assert excused == []
    assert sum(map(mentions_ours, executed())) > 40


@pytest.mark.parametrize("sentence", sorted(advices()))
def test_no_advice_begins_by_destroying(sentence: str) -> None:
    assert DESTROYS.search(sentence) is None


def test_no_runbook_begins_to_mend_by_destroying() -> None:
    text = (ROOT / "docs" / "operations" / "runbooks.md").read_text("utf-8")
    first = [mend.split(". ")[0] for mend in re.findall(r"\*\*Mend\.\*\* (.+?)(?=\n\n|\Z)", text, re.S)]

    assert len(first) > 15
    assert [sentence for sentence in first if DESTROYS.search(sentence)] == []


def test_a_sentence_that_destroys_would_be_found() -> None:
    """The advice that this file was written for."""
    assert DESTROYS.search("recreate the table")
    assert DESTROYS.search("delete the topic and apply it again, so that it is another log")
    assert not DESTROYS.search("set kafka.topic_prefix to start new topics")


def test_every_command_named_in_backticks_exists() -> None:
    texts = {node.value for module in modules() for node in module.strings()}
    named = {found for text in texts for found in re.findall(r"`((?:obflow|make) [^`{}]+)`", text)}
    wrong = [one for one in sorted(named) if not exists(shlex.split(one))]

    assert len(named) > 15
    assert wrong == []


def exists(words: list[str]) -> bool:
    """Whether there is such a command, with such flags."""
    program, name, *rest = words
    if program == "make":
        done = subprocess.run(["make", "--dry-run", "--silent", name], cwd=ROOT, capture_output=True, check=False)
        return done.returncode == 0
    if name.startswith("-"):
        return name in ("--help", "--version")
    if name not in command_entries():
        return False
    command = load_command(command_entries()[name])
    if rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        command, rest = command.commands.get(rest[0]), rest[1:]
    flags = [word.partition("=")[0] for word in rest if word.startswith("-")]
    known = {flag for parameter in getattr(command, "params", ()) for flag in parameter.opts}
    return command is not None and set(flags) <= known
