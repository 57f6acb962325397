"""The runtime's own commands: settings, topics, doctor."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings


def settings(
    origin: Annotated[bool, typer.Option("--origin", help="Add where each value came from.")] = False,
    json: JsonFlag = False,
) -> None:
    """Print every setting in force, secrets masked.

    Example: obflow settings --origin --set kafka.partitions=8
    """
    loaded = load_settings()
    shown, origins = loaded.shown(), loaded.origins()
    if json:
        emit_json({key: {"value": value, "origin": origins[key]} if origin else value for key, value in shown.items()})
        return
    width = max(map(len, shown))
    for key, value in shown.items():
        line = f"{key:<{width}}  {value}"
        sys.stdout.write(f"{line}  ({origins[key]})\n" if origin else f"{line}\n")
