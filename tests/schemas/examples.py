"""The committed examples, one file a record variant, as the records they stand for."""

import json
from pathlib import Path

import msgspec

from schemas.codec import RECORD_TYPES, schema_text
from schemas.factors import EVENT_HEAD, FACTOR_NAMES
from schemas.messages import FactorRecord, Record
from schemas.versions import SCHEMAS

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


def example_files() -> list[Path]:
    return sorted(EXAMPLES.rglob("*.json"))


def load(path: Path) -> Record:
    """`examples/<record>/v<N>/<name>.json` as its record; bytes are base64 in the file."""
    record = msgspec.json.decode(path.read_bytes(), type=RECORD_TYPES[path.parents[1].name])
    return _with_todays_factors(record, path) if isinstance(record, FactorRecord) else record


def _with_todays_factors(record: FactorRecord, path: Path) -> FactorRecord:
    """The values of an older version stand in the order of its own list; what came later is null."""
    version = next(each for each in SCHEMAS if f"{each.record}.v{each.version}" == f"factors.{path.parent.name}")
    fields = json.loads(schema_text(version))["fields"][-1]["type"]["items"]["fields"]
    listed = [field["name"] for field in fields if field["name"] not in EVENT_HEAD]
    events = []
    for event in record.events:
        values = dict(zip(listed, event.values, strict=True))
        events.append(msgspec.structs.replace(event, values=tuple(values.get(name) for name in FACTOR_NAMES)))
    return msgspec.structs.replace(record, events=events)
