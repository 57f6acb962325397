"""Where values come from, each layer as dotted keys and their origins: the settings file, the environment, flags."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from obflow.settings.reference import ENV_DELIMITER, ENV_PREFIX, Leaf, is_mapping, nearest, variable_of
from obflow.settings.sections import CONTRADICTION
from schemas.errors import SettingsError

CONFIG_VARIABLE: Final = "OBFLOW_CONFIG"
DEFAULT_CONFIG: Final = Path("obflow.toml")
SECRET_FILE_SUFFIX: Final = "_file"  # noqa: S105 (the ending of a setting's name)


class Given(NamedTuple):
    """What was given, by dotted key: values and where each came from."""

    values: dict[str, object]
    origins: dict[str, str]


def merge(layers: Iterable[Given], leaves: tuple[Leaf, ...]) -> Given:
    """Lay one layer over the other, the last deciding, and read the files that hold secrets.

    Raises:
        SettingsError: A key is unknown, or a secret cannot be read or is given twice.
    """
    merged = Given({}, {})
    for layer in layers:
        _spread(layer, leaves)
        merged.values.update(layer.values)
        merged.origins.update(layer.origins)
    _gather(merged, leaves)
    _refuse_unknown(merged, leaves)
    _read_secret_files(merged, leaves)
    return merged


def from_file(config: Path | None) -> Given:
    """Read the settings file: the one given, else the one of `OBFLOW_CONFIG`, else `obflow.toml` where there is one.

    Raises:
        SettingsError: It cannot be read, or is not TOML.
    """
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    path = named or DEFAULT_CONFIG
    if named is None and not path.is_file():
        return Given({}, {})
    try:
        values = _flat(tomllib.loads(path.read_text("utf-8-sig")))
    except OSError as error:
        raise SettingsError(
            f"the settings file {path} cannot be read ({error.strerror})", next_step="give --config another path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(
            f"the settings file {path} is not TOML", next_step=f"mend this: {_in_sentence(error)}"
        ) from None
    return Given(values, dict.fromkeys(values, f"file {path}"))


def from_environment(model: type[BaseSettings], leaves: tuple[Leaf, ...]) -> Given:
    """Read the variables of the settings that a class declares.

    Raises:
        SettingsError: A variable looks like one of them and is none.
    """
    _refuse_stray_variables(leaves)  # one of them is a whole section as a value, which the source would take for JSON
    try:
        values = _flat(EnvSettingsSource(model)())
    except UnreadableVariable:
        raise _no_json(next(variable_of(leaf.key) for leaf in leaves if is_mapping(leaf.field))) from None
    return Given(values, {key: f"environment {variable_of(key)}" for key in values})


def from_flags(overrides: Mapping[str, object]) -> Given:
    """Take flags by dotted key; None stands for one that was not given."""
    values = {key: value for key, value in overrides.items() if value is not None}
    return Given(values, dict.fromkeys(values, "flag"))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def nested(flat: Mapping[str, object]) -> dict[str, Any]:
    """Turn dotted keys into sections."""
    sections: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        (sections.setdefault(section, {}) if section else sections)[name] = value
    return sections


def _spread(layer: Given, leaves: tuple[Leaf, ...]) -> None:
    """Make parts of each mapping that is given as a whole, so that the layers meet part by part.

    Raises:
        SettingsError: It is no JSON object.
    """
    for key in (leaf.key for leaf in leaves if is_mapping(leaf.field) and leaf.key in layer.values):
        origin = layer.origins.pop(key)
        for name, value in _json_object(key, layer.values.pop(key)).items():
            layer.values[f"{key}.{name}"], layer.origins[f"{key}.{name}"] = value, origin


def _gather(given: Given, leaves: tuple[Leaf, ...]) -> None:
    """Make one value of each mapping's parts, whichever layers they came from."""
    for key in (leaf.key for leaf in leaves if is_mapping(leaf.field)):
        parts = [name for name in given.values if name.startswith(f"{key}.")]
        if parts:
            given.values[key] = {part.removeprefix(f"{key}."): given.values.pop(part) for part in parts}
            origins = [given.origins.pop(part).replace(variable_of(part), variable_of(key)) for part in parts]
            given.origins[key] = ", ".join(dict.fromkeys(origins))


def _json_object(key: str, value: object) -> dict[str, object]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _no_json(key)
    return found


def _no_json(name: str) -> SettingsError:
    return SettingsError(f"{name} is no JSON object", next_step='write it as {"NAME": "VALUE"}')


def _refuse_unknown(given: Given, leaves: tuple[Leaf, ...]) -> None:
    known = [leaf.key for leaf in leaves]
    for key in given.values:
        if key not in known:
            raise SettingsError(f"unknown setting {key} (from {given.origins[key]})", next_step=_suggestion(key, known))


def _suggestion(name: str, known: list[str]) -> str:
    close = nearest(name, known)
    return f"did you mean {close}?" if close else "`obflow settings` lists them all"


def _refuse_stray_variables(leaves: tuple[Leaf, ...]) -> None:
    """Refuse variables that look like settings but that the loader would pass over.

    Those are names with an unknown section (`OBFLOW_KAFAK__…`) and names with one underscore where two belong
    (`OBFLOW_KAFKA_…`). Other names beginning with OBFLOW_ belong to tools around the pipeline and are none of ours.
    """
    known = [variable_of(leaf.key) for leaf in leaves]
    sections = {leaf.key.partition(".")[0].upper() for leaf in leaves if "." in leaf.key}
    for variable in os.environ:
        name = variable.upper()
        if not name.startswith(ENV_PREFIX) or name in known:
            continue
        rest = name.removeprefix(ENV_PREFIX)
        section = rest.split(ENV_DELIMITER)[0] if ENV_DELIMITER in rest else rest.partition("_")[0]
        if ENV_DELIMITER in rest or section in sections:
            raise SettingsError(f"unknown variable {variable} in the environment", next_step=_suggestion(name, known))


def _read_secret_files(given: Given, leaves: tuple[Leaf, ...]) -> None:
    values, origins = given
    for key, field, _ in leaves:
        path = values.get(key + SECRET_FILE_SUFFIX)
        if field.annotation is not SecretStr or not path:
            continue
        if key in values:
            other = key + SECRET_FILE_SUFFIX
            raise SettingsError(
                f"both {key} ({origins[key]}) and {other} ({origins[other]}) are set", next_step="keep one of them"
            )
        file = Path(str(path)).expanduser()
        try:
            values[key] = file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"the file {file} of {key}{SECRET_FILE_SUFFIX} cannot be read ({_in_sentence(error)})",
                next_step="check the path and its permissions",
            ) from None
        origins[key] = f"file {file}"


def unacceptable(error: ValidationError, origins: Mapping[str, str], leaves: tuple[Leaf, ...]) -> SettingsError:
    """Say in one line which value was not accepted, why, and where it came from; a secret's value is not repeated."""
    first: ErrorDetails = error.errors(include_url=False)[0]
    if first["type"] == CONTRADICTION:
        return SettingsError(first["msg"], next_step="`obflow settings` lists them all and what each means")
    key = ".".join(str(part) for part in first["loc"])
    field = next((leaf.field for leaf in leaves if leaf.key == key), None)
    secret = field is not None and (field.annotation is SecretStr or is_mapping(field))
    got = "" if secret or field is None else f" (got {first['input']!r}, from {origins.get(key, 'default')})"
    text = first["msg"][:1].lower() + first["msg"][1:]
    others = f"; {error.error_count() - 1} more after it" if error.error_count() > 1 else ""
    return SettingsError(
        f"setting {key} is not acceptable: {text}{got}{others}",
        next_step="`obflow settings` lists them all and what each means",
    )


def _in_sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".")
