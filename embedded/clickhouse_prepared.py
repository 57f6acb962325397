"""What becomes of a statement before it runs: parsed by the engine's own parser, judged by the rules, written anew.

What runs is never the text that came, but what the parser made of it and the rules let pass. Rows that come with a
statement are in no text: a path, and for `input` a table, stand for them until they are in a file.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from embedded.clickhouse_inputs import read_from
from embedded.clickhouse_limits import reader_settings
from embedded.clickhouse_parser import REMEMBERED, REMEMBERED_BYTES, Parser
from embedded.clickhouse_rules import ANSWERS, Asker, check_input_format, judge
from embedded.clickhouse_sql import DEFAULT_DATABASE, QueryRefused, Statement, quote

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """What a statement runs under.

    Attributes:
        database: The current database.
        settings: ChdbEngine settings by name.
        parameters: Values of `{name:Type}` in the text, as they stand in an address (escaped as in TSV).
        readonly: Whether the statement may only read.
        query_id: The client's name for it.
    """

    query_id: str
    database: str = DEFAULT_DATABASE
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that may run.

    Attributes:
        text: What runs.
        settings: What it runs under.
        output_format: Format the statement names; empty where it names none.
        answers: Whether it has a result, be it empty.
        makes_table: What makes the temporary table of the rows that it reads from `input`; empty where it reads none.
    """

    text: str
    settings: Mapping[str, str]
    output_format: str
    answers: bool
    makes_table: str = ""


class StatementPreparer:
    """Parses and judges statements, without running them.

    Args:
        ask: Gives the one row of a statement of ours.
        classify: Gives how many statements a text holds, and whether they only read.
    """

    def __init__(self, ask: Callable[[str], bytes], classify: Callable[[str], tuple[int, bool]]) -> None:
        self._parser = Parser(ask, classify)
        self._rows = f"/rows-{secrets.token_hex(8)}"  # stands for the path of an INSERT's rows until they are in a file
        self._input = f"input_{secrets.token_hex(8)}"  # the temporary table, in a session, of what `input` reads
        self._remembered_inputs = lru_cache(REMEMBERED)(self._judge_reading_input)

    def prepare(self, statement: Statement, context: Context) -> Prepared:
        """Parse and judge a statement, without running it.

        Args:
            statement: The statement and its data.
            context: What it is to run under.

        Raises:
            QueryRefused: It is none, or not allowed.
        """
        if statement.selects:
            return self._prepare_reading_input(statement, context)
        sends_rows = statement.data is not None
        parsed = self._parser.parse(statement.reading_from(self._rows) if sends_rows else statement.text)
        try:
            asker = Asker(not context.readonly, context.database, context.parameters, sends_rows)
            verdict = judge(parsed.tree, asker)
        except QueryRefused:
            if parsed.tree["type"] == "SystemQuery":  # to stop merges or the engine itself is worth a line
                _log.warning(
                    "refused SYSTEM %s to a %s",
                    parsed.tree.get("query_type"),
                    "reader" if context.readonly else "writer",
                )
            raise
        settings = {**context.settings, **verdict.settings}
        return Prepared(
            text=parsed.text if verdict.tree is parsed.tree else self._parser.write(verdict.tree),
            settings=reader_settings(settings) if context.readonly else settings,
            output_format=verdict.output_format,
            answers=verdict.answers,
        )

    def _prepare_reading_input(self, statement: Statement, context: Context) -> Prepared:
        """Prepare an INSERT … SELECT … FROM input(…). Whoever sends rows sends the same text again and again."""
        check_input_format(statement.input_format)
        remembers = len(statement.text) <= REMEMBERED_BYTES
        prepare = self._remembered_inputs if remembers else self._judge_reading_input
        parameters = tuple(sorted(context.parameters.items()))
        text, makes_table = prepare(statement.text, context.readonly, context.database, parameters)
        return Prepared(text, context.settings, output_format="", answers=False, makes_table=makes_table)

    def _judge_reading_input(
        self, text: str, readonly: bool, database: str, parameters: tuple[tuple[str, str], ...]
    ) -> tuple[str, str]:
        """What runs, and what makes the table of its rows: each judged like any other statement of the asker."""
        asker = Asker(not readonly, database, dict(parameters))
        rows = read_from(self._parser.parse(text).tree, self._input)
        made = self._parser.parse(f"CREATE TABLE {self._input} ({rows.structure}) ENGINE = Memory")
        judge(made.tree, asker)
        runs = self._parser.write(judge(rows.tree, asker).tree)
        return runs, self._parser.write({**made.tree, "is_temporary": True})

    def with_rows(self, text: str, path: str) -> str:
        """Name the file that holds the rows."""
        return text.replace(quote(self._rows), quote(path), 1)

    def filling(self, input_format: str) -> str:
        """What fills the table that `input` reads."""
        return f"INSERT INTO {self._input} FROM INFILE {quote(self._rows)} FORMAT {input_format}"

    def reads(self, statement: Statement) -> bool:
        """Say whether a statement has an answer and changes nothing but, at most, running queries.

        Args:
            statement: As it came.

        Raises:
            QueryRefused: It is no statement.
        """
        return statement.data is None and self._parser.parse(statement.text).tree["type"] in ANSWERS
