"""The committed examples, one file a record variant, as the records they stand for."""

from pathlib import Path

import msgspec

from schemas.codec import RECORD_TYPES
from schemas.messages import Record

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


def example_files() -> list[Path]:
    return sorted(EXAMPLES.rglob("*.json"))


def load(path: Path) -> Record:
    """`examples/<record>/v<N>/<name>.json` as its record; bytes are base64 in the file."""
    return msgspec.json.decode(path.read_bytes(), type=RECORD_TYPES[path.parents[1].name])
