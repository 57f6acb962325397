"""Write `docs/factors.md` from the list of factors and what their functions say. Run in a checkout, by `make factor`.

A test compares the two. Names, units, ranges and meanings are those of `schemas/factors.py`; definitions, nulls and
sources are the docstrings of `processors/factors/reference/`, a section for each of its files.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from obflow.terminal import say
from processors.factors.reference import COMPUTE, OF_ANY_BOOK
from schemas.codec import schema_of
from schemas.errors import EXIT_DONE
from schemas.factors import FACTOR_SET, FACTORS, Factor, range_of
from schemas.versions import SCHEMAS

PAGE: Final = Path("docs/factors.md")
RECORD: Final = "factors"
NOTHING: Final = "–"
ANY: Final = "any"
COLUMNS: Final = ("Name", "Unit", "Range", "Meaning", "Definition", "Null", "Since")
NULL: Final = re.compile(r"; null (?P<clause>.*?)(?P<end>\.(?= )|\.?$)|(?:^|(?<=\. ))Null (?P<sentence>.*?)\.(?: |$)")
"""Where a docstring says when there is no value: the end of a sentence, or a sentence."""
HEAD: Final = """# Factors

Written by `make factor` from `schemas/factors.py` and the docstrings of `processors/factors/reference/`; a test holds
the page to them. A name is a column of the table `factors` and of the file that `obflow factors --out` writes, and a
field of `factors.v1`. This is factor set `{factor_set}`: each row says in `factor_set` which one it is of, and that
changes where a definition does. How to work with them: [research.md](research.md).

**Signs.** Levels k = 1, 2 … count from the best. b and a are prices of bids and asks, B and A their sizes, p and q
price and size of either; mid = (b_1 + a_1)/2. "Top n" is the first n levels of a side. A lot is the smallest step of a
size. "Base" and "quote" are units of the instrument's two currencies, "bps" hundredths of a percent, "sd" standard
deviations. A name and a year are a paper.

**Null** is "no value", never 0 and never NaN. A factor is null

- where the book cannot be trusted: the row's `status` is `RESYNCING`;
- where it reads a price beyond what is known of the book, since a snapshot ends somewhere;
- where a side is empty, or the best bid is not below the best ask: `status` is `EMPTY`, `ONE_SIDED`, `LOCKED` or
  `CROSSED`. Not so {of_any_book}:
  these need only the sides they read.

What makes it null beside that is in its column "Null", or above its table; a dash is nothing. Where `status` is `OK`
the book is whole; `THIN` says that there is less than `processor.thin_notional` in the top 10 levels of both sides, and
the factors are there all the same. "Events" are this instrument's own with one of these two. A window is the time up to
the event by `received_at`, "LIVE for it" that the book was whole for so long. Windows and previous events begin anew
where the book was lost.

**Range** is inclusive. **Since** is the first version of the schema (`schemas/avro/factors.vN.avsc`) with the factor:
it is null in rows of the versions before.
"""


class FactorText(NamedTuple):
    """What a function's docstring says.

    Attributes:
        definition: What is computed, and its source.
        null: When there is no value; empty where nothing is said.
    """

    definition: str
    null: str


def as_markdown() -> str:
    """The page: a section for each family, a line for each factor."""
    of_any_book = ", ".join(f"`{name}`" for name in OF_ANY_BOOK)
    parts = [HEAD.format(factor_set=FACTOR_SET, of_any_book=of_any_book)]
    since = first_versions()
    for module, factors in _families().items():
        text = inspect.getdoc(sys.modules[module]) or ""
        title = re.split(r"[:.](?=\s|$)", text, maxsplit=1)[0]
        rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(_row(factor, since[factor.name]) for factor in factors)]
        table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        parts.append(f"\n## {title}\n\n{text}\n\n`{module.replace('.', '/')}.py`\n\n{table}")
    return "".join(parts)


def said_of(text: str) -> FactorText:
    """Part a docstring into what is computed and when it is null.

    >>> said_of("B/A over the top 10; null where A is 0. After Doe 2001.")
    FactorText(definition='B/A over the top 10. After Doe 2001.', null='where A is 0')
    """
    line = " ".join(text.split())
    null = "; ".join(found["clause"] or found["sentence"] for found in NULL.finditer(line))
    return FactorText(NULL.sub(lambda found: "." if found["clause"] else "", line).strip(), null)


def first_versions() -> dict[str, int]:
    """The first version of the factors' schema that has each field."""
    since: dict[str, int] = {}
    for version in (each for each in SCHEMAS if each.record == RECORD):
        for name in _fields(schema_of(version)):
            since.setdefault(name, version.version)
    return since


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    events = next(field for field in schema["fields"] if field["name"] == "events")
    return (field["name"] for field in events["type"]["items"]["fields"])


def _families() -> dict[str, list[Factor]]:
    families: dict[str, list[Factor]] = {}
    for factor in FACTORS:
        families.setdefault(COMPUTE[factor.name].__module__, []).append(factor)
    return families


def _row(factor: Factor, since: int) -> tuple[str, ...]:
    said = said_of(inspect.getdoc(COMPUTE[factor.name]) or "")
    texts = (factor.unit, range_of(factor) or ANY, factor.meaning, said.definition, said.null or NOTHING, f"v{since}")
    return f"`{factor.name}`", *(text.replace("|", "\\|") for text in texts)


def main(root: Path = Path()) -> int:
    """Write the page into a checkout."""
    (root / PAGE).write_text(as_markdown(), "utf-8")
    say(f"wrote {PAGE}")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
