"""Write the files a new factor needs: the next version of its Avro schema, that version's line, and the migration.

The factor itself is a function and a line (CONTRIBUTING has the recipe). What follows from them is written here, is
committed, and is held equal to the list by tests. Run in a checkout, by `make factor`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from obflow.terminal import say
from schemas.errors import EXIT_DONE, UsageError
from schemas.factors import EVENT_HEAD, FACTORS, Factor
from schemas.versions import SCHEMAS, SchemaVersion, newest

RECORD: Final = "factors"
LAST_LINE: Final = re.compile(r"^\)\n", re.M)


class WrittenFiles(NamedTuple):
    """One file as it is to be: its path in the checkout, and its text."""

    path: Path
    text: str


def files_for_new_factors(root: Path) -> list[WrittenFiles]:
    """Work out what the newest schema lacks of the list of factors.

    Args:
        root: The checkout.

    Returns:
        The files to write; none where the schema already has every factor.

    Raises:
        UsageError: A factor of the schema is no longer in the list: names that were written are never taken back.
    """
    version = newest(RECORD)
    schema = json.loads((root / "schemas" / "avro" / version.filename).read_text("utf-8"))
    known = [field["name"] for field in _event(schema)["fields"] if field["name"] not in EVENT_HEAD]
    gone = [name for name in known if name not in {factor.name for factor in FACTORS}]
    if gone:
        raise UsageError(
            f"factor {gone[0]} is in {version.filename} and no longer in the list",
            next_step="keep its line: logs and tables hold its values",
        )
    added = [factor for factor in FACTORS if factor.name not in known]
    if not added:
        return []
    following = SchemaVersion(max(each.schema_id for each in SCHEMAS) + 1, RECORD, version.version + 1)
    return [
        WrittenFiles(Path("schemas/avro") / following.filename, schema_with(schema, FACTORS)),
        WrittenFiles(
            Path("schemas/versions.py"), _with_line((root / "schemas/versions.py").read_text("utf-8"), following)
        ),
        WrittenFiles(_example(following), _example_with(root / _example(version), known)),
        WrittenFiles(_migration(root, added), migration_adding(added)),
    ]


def schema_with(schema: dict[str, Any], factors: Sequence[Factor]) -> str:
    """Write a schema whose event has exactly these factors, in this order, each null by default."""
    event = _event(schema)
    head = [field for field in event["fields"] if field["name"] in EVENT_HEAD]
    event["fields"] = head + [
        {"name": factor.name, "type": ["null", "double"], "doc": f"{factor.meaning} [{factor.unit}]", "default": None}
        for factor in factors
    ]
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def migration_adding(factors: Sequence[Factor]) -> str:
    """Write the migration that adds these factors' columns, each where the list has it."""
    names = [factor.name for factor in FACTORS]
    return "".join(
        f"ALTER TABLE factors ADD COLUMN IF NOT EXISTS {factor.name} Nullable(Float64) CODEC(ZSTD(1)) "
        f"COMMENT '{_quoted(f'{factor.meaning} [{factor.unit}]')}' AFTER {_before(names, factor.name)};\n"
        for factor in factors
    )


def main(root: Path) -> int:
    """Write the files and name them."""
    written = files_for_new_factors(root)
    for path, text in written:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
        say(f"wrote {path}")
    if not written:
        say(f"{newest(RECORD).filename} has every factor of the list: nothing to write")
    return EXIT_DONE


def _event(schema: dict[str, Any]) -> dict[str, Any]:
    events: dict[str, Any] = next(field for field in schema["fields"] if field["name"] == "events")
    items: dict[str, Any] = events["type"]["items"]
    return items


def _with_line(text: str, version: SchemaVersion) -> str:
    line = f'    SchemaVersion({version.schema_id}, "{version.record}", {version.version}),\n'
    return LAST_LINE.sub(line + ")\n", text, count=1)


def _example(version: SchemaVersion) -> Path:
    return Path("schemas/examples") / version.record / f"v{version.version}" / "ok.json"


def _example_with(newest_example: Path, known: Sequence[str]) -> str:
    record = json.loads(newest_example.read_text("utf-8"))
    for event in record["events"]:
        values = dict(zip(known, event["values"], strict=True))
        event["values"] = [values.get(factor.name) for factor in FACTORS]
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _migration(root: Path, added: Sequence[Factor]) -> Path:
    numbers = [int(path.name[:4]) for path in (root / "sinks/migrations").glob("*.sql")]
    return Path("sinks/migrations") / f"{max(numbers) + 1:04d}_factors_{added[0].name}.sql"


def _before(names: Sequence[str], name: str) -> str:
    return names[names.index(name) - 1] if names.index(name) else "factor_set"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
