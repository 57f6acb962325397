"""What there is to know about each setting, read from the classes: key, kind, unit, default, variable, description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from obflow.settings.sections import Section
from schemas.masking import MASK, mask_credentials

ENV_PREFIX: Final = "OBFLOW_"
ENV_DELIMITER: Final = "__"
UNITS: Final = {
    "seconds": "s",
    "ms": "ms",
    "days": "days",
    "bytes": "bytes",
    "kbytes": "KiB",
    "rows": "rows",
    "records": "records",
    "messages": "messages",
}


class SettingReference(NamedTuple):
    """What there is to know about one setting.

    Attributes:
        key: Dotted name, as in flags and as `[section] name` in `obflow.toml`.
        kind: Type, or the values it may take.
        unit: Unit of its number; empty where it has none.
        default: Default as it would be written in the environment.
        env: Name of its environment variable.
        description: One sentence or two.
        secret: Whether its value is masked wherever it is shown.
    """

    key: str
    kind: str
    unit: str
    default: str
    env: str
    description: str
    secret: bool


class Leaf(NamedTuple):
    """One setting as its class declares it: dotted key, field, and the units its section knows."""

    key: str
    field: FieldInfo
    units: Mapping[str, str]


def leaves(model: type[BaseModel]) -> Iterator[Leaf]:
    """Every setting of a class of sections, in the order of its fields."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            units = {**UNITS, **field.annotation.UNITS}
            for inner, leaf in field.annotation.model_fields.items():
                yield Leaf(f"{name}.{inner}", leaf, units)
        else:
            yield Leaf(name, field, UNITS)


def describe(leaf: Leaf) -> SettingReference:
    """Say what there is to know about a setting."""
    key, field, units = leaf
    return SettingReference(
        key=key,
        kind=_kind(field.annotation),
        unit=units.get(key.rpartition("_")[2], ""),
        default=as_text(field.default),
        env=variable_of(key),
        description=" ".join((field.description or "").split()),
        secret=field.annotation is SecretStr,
    )


def as_variables(entries: tuple[SettingReference, ...]) -> str:
    """Write settings as a file of environment variables, each commented out at its default."""
    blocks = []
    for entry in entries:
        unit = f", {entry.unit}" if entry.unit else ""
        blocks.append(f"# {entry.description} ({entry.kind}{unit})\n# {entry.env}={entry.default}\n")
    return "\n".join(blocks)


def nearest(name: str, known: list[str]) -> str:
    """The known name most like the given one, or an empty string where none is."""
    matches = get_close_matches(name, known, n=1, cutoff=0.5)
    return matches[0] if matches else ""


def is_mapping(field: FieldInfo) -> bool:
    """Whether a setting holds names and values of its own, given one by one (`kafka.options.NAME`) or as JSON."""
    return get_origin(field.annotation) is Mapping


def _kind(annotation: object) -> str:
    if get_origin(annotation) is Mapping:
        return "JSON"
    inner = [part for part in get_args(annotation) if part is not type(None)]
    named = inner[0] if inner and get_origin(annotation) not in (tuple, Literal) else annotation
    named = get_args(named)[0] if get_origin(named) is Annotated else named
    if get_origin(named) is Literal:
        return "|".join(str(value) for value in get_args(named))
    return {"str": "text", "SecretStr": "secret", "Path": "path", "int": "integer", "float": "number"}.get(
        getattr(named, "__name__", str(named)), str(named)
    )


def as_text(value: object) -> str:
    """A value as it is written in the environment, secrets in clear."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)


def printable(value: object) -> object:
    """A value fit to be shown: secrets are masked, and credentials in addresses."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, str):
        return mask_credentials(value)
    return as_text(value) if isinstance(value, Path | dict) else value


def variable_of(key: str) -> str:
    """Name of a setting's environment variable."""
    return ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper()
