"""The one command, `obflow`: finds its sub-commands by entry point, and turns errors into a sentence and an exit code.

Each package names its commands in the entry-point group `obflow.commands`; the target is a function, or a `typer.Typer`
for a group; a name may have two words, of which the first is a command too. A command's module is imported when the
command is used; the list of `obflow --help` is read from the modules' text, so that it needs none of their imports.
Every command takes `--config`, `--set` and `--verbose`.

What a command's module uses of this one: `load_settings`, `emit_json`, `run_async`, `stop_on_signal` and `JsonFlag`.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import TyperException
from typer.core import TyperCommand, TyperGroup

from obflow.terminal import json_text, say, say_lines, tell, tell_error, tell_thread_error, tell_traceback
from schemas.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, DependencyError, PipelineError, UsageError
from schemas.masking import mask_credentials

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine
    from contextlib import AbstractContextManager

    from typer._click import Command, Context

    from obflow.settings import Settings

COMMAND_GROUP = "obflow.commands"
T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on the last line.")]


@dataclass(frozen=True)
class Invocation:
    """What every command was given.

    Attributes:
        config: Settings file named by `--config`.
        overrides: Settings given by `--set`, by dotted key.
        verbose: Whether tracebacks and debug lines are wanted.
    """

    config: Path | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    verbose: bool = False


_invocation: ContextVar[Invocation] = ContextVar("invocation")


def load_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Load the settings of this invocation and set up logging by them.

    Args:
        overrides: The command's own flags by dotted key; None stands for a flag that was not given.

    Raises:
        SettingsError: A name is unknown or a value not acceptable.
    """
    from obflow import logs
    from obflow.settings import Settings

    invocation = _invocation.get(Invocation())
    flags = dict(invocation.overrides)
    if invocation.verbose:
        flags.setdefault("log.level", "debug")
    flags.update({key: value for key, value in (overrides or {}).items() if value is not None})
    settings = Settings.load(flags, invocation.config)
    logs.configure(settings.log)
    return settings


def emit_json(result: object) -> None:
    """Print one JSON object on one line of standard output; nothing else may follow it there."""
    say_lines(json_text(result))


def run_async(main: Callable[[asyncio.Event], Coroutine[object, object, T]], *, shutdown_seconds: float = 10.0) -> T:
    """Run `main(stop)` on uvloop; SIGINT and SIGTERM set `stop` (see `obflow.lifecycle`)."""
    from obflow import lifecycle

    return lifecycle.run_async(main, shutdown_seconds=shutdown_seconds)


def stop_on_signal(*, shutdown_seconds: float = 10.0) -> AbstractContextManager[threading.Event]:
    """Give loops that block an event that SIGINT and SIGTERM set (see `obflow.lifecycle`)."""
    from obflow import lifecycle

    return lifecycle.stop_on_signal(shutdown_seconds=shutdown_seconds)


@cache
def command_entries() -> dict[str, EntryPoint]:
    """The entry point of every sub-command, by name."""
    return {entry.name: entry for entry in sorted(entry_points(group=COMMAND_GROUP), key=lambda entry: entry.name)}


class LazyGroup(TyperGroup):
    """The top of the command tree: lists commands without importing them, and imports the one that is called."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Names of all commands."""
        return list(command_entries())

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """A stand-in that knows the command's name and one line of help: all that a listing needs."""
        entry = command_entries().get(cmd_name)
        return TyperCommand(cmd_name, help=summary(entry)) if entry else None

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Import the command that is called.

        Raises:
            UsageError: There is none of that name.
            DependencyError: Its module, or one it needs, is not installed.
        """
        entries = command_entries()
        name = next((name for name in (" ".join(args[:2]), args[0]) if name in entries), args[0])
        entry = entries.get(name)
        if entry is None:
            close = get_close_matches(args[0], command_entries(), n=1, cutoff=0.5)
            step = f"did you mean `obflow {close[0]}`?" if close else "`obflow --help` lists them"
            raise UsageError(f"there is no command {args[0]!r}", next_step=step)
        return name, load_command(entry), args[len(name.split()) :]


def load_command(entry: EntryPoint) -> Command:
    """Import a command and give it, or each command of its group, the options every command has.

    Raises:
        DependencyError: Its module, or one it needs, is not installed.
    """
    try:
        target = entry.load()
    except (ImportError, AttributeError) as error:
        raise DependencyError(
            f"the command {entry.name} cannot be loaded ({error})", next_step="`make setup` installs what is missing"
        ) from error
    if isinstance(target, typer.Typer):
        command: Command = typer.main.get_group(target)
    else:
        single = typer.Typer(add_completion=False)
        single.command(entry.name)(target)
        command = typer.main.get_command(single)
    command.name = entry.name
    _add_common_options(command)
    return command


def summary(entry: EntryPoint) -> str:
    """The first line of a command's help, read from its module's text so that nothing it imports is needed."""
    try:
        spec = find_spec(entry.module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        return "(not installed)"
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == entry.attr:
            return _first_line(ast.get_docstring(node))
        if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == entry.attr for name in node.targets):
            return _first_line(_help_argument(node.value))
    return "(not installed)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Its words without the program's name; the process's own where none are given.

    Returns:
        0 done, 1 failed, 2 wrong usage, 3 a dependency is missing or does not answer, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    token = _invocation.set(Invocation())
    hook = threading.excepthook
    if hook is threading.__excepthook__:
        threading.excepthook = tell_thread_error
    try:
        result = typer.main.get_command(app).main(words, prog_name="obflow", standalone_mode=False)
        return result if isinstance(result, int) and not isinstance(result, bool) else EXIT_DONE
    except Exception as error:
        return _report(error, verbose=_invocation.get().verbose)
    finally:
        threading.excepthook = hook
        _invocation.reset(token)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"obflow {version('obflow')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Order-book imbalance at scale: exchange frames in, factors queryable in ClickHouse.

    Begin with `obflow demo`. Every setting can be given as a flag (--set kafka.partitions=8), in the environment
    (OBFLOW_KAFKA__PARTITIONS=8) or in obflow.toml; `obflow settings` lists them.
    """


def _common(
    config: Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).", metavar="FILE")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting, as section.name=value.", metavar="KEY=VALUE")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Debug lines, and tracebacks of errors.")] = False,
) -> None:
    overrides: dict[str, object] = {}
    for item in set_ or []:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item} has no value", next_step="write it as --set section.name=value")
        overrides[key.strip()] = value
    _invocation.set(Invocation(config, overrides, verbose))


def _add_common_options(command: Command) -> None:
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            _add_common_options(inner)
        return
    donor = typer.Typer(add_completion=False)
    donor.command()(_common)
    common = typer.main.get_command(donor)
    own = command.callback
    names = {parameter.name for parameter in common.params}

    def with_common(**values: Any) -> Any:  # noqa: ANN401 (whatever the command takes and returns)
        if common.callback is not None:
            common.callback(**{name: values.pop(name) for name in names})
        return own(**values) if own else None

    command.callback = with_common
    command.params = [*command.params, *common.params]


def _report(error: Exception, *, verbose: bool) -> int:
    known = _find_known(error)
    if verbose:
        tell_traceback(error)
    if known is not None:
        tell_error(known)
        return known.exit_code
    if isinstance(error, TyperException):
        return _report_usage(error)
    text = mask_credentials(" ".join(str(error).split()))
    again = "" if verbose else "; -v shows where"
    tell(f"obflow: unexpected {type(error).__name__}: {text or 'no message'}{again}")
    return EXIT_FAILED


def _report_usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    text = mask_credentials(error.format_message().strip())
    if not text:  # no words at all: typer has printed the help
        return EXIT_USAGE
    sentence = text[:1].lower() + text[1:].rstrip(".")
    tell(f"obflow: {sentence}; see `{context.command_path if context else 'obflow'} --help`")
    return error.exit_code


def _find_known(error: BaseException) -> PipelineError | None:
    """The error itself, or the first of ours inside a group of them, as task groups raise."""
    if isinstance(error, PipelineError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((known for inner in error.exceptions if (known := _find_known(inner))), None)
    return None


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _help_argument(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return ""
