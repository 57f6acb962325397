"""Random statements, most of them forbidden to a reader, in every dress that SQL can be given.

First a statement is built from a small grammar whose leaves are, now and then, something a reader may not touch. Then
its words are quoted, escaped, cased, commented and spaced at random, and at times its characters are damaged. What the
result means is for the engine's parser to say.
"""
# ruff: noqa: S608 - hostile statements are what this builds

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

COLUMNS = ("price", "size", "symbol", "venue", "trade_id", "tags")
FUNCTIONS = ("sum", "count", "avg", "upper", "round", "length", "arrayJoin", "toString", "sumIf", "quantile", "concat")
FORBIDDEN_FUNCTIONS = (
    *(
        "file",
        "hostName",
        "sleep",
        "sleepEachRow",
        "dictGet",
        "joinGet",
        "getServerPort",
        "getMacro",
        "tcpPort",
        "FQDN",
    ),
    *(
        "filesystemAvailable",
        "addressToLine",
        "demangle",
        "showCertificate",
        "getClientHTTPHeader",
        "aiGenerate",
        "uptime",
    ),
    *(
        "regionToName",
        "serverUUID",
        "buildId",
        "logTrace",
        "hasColumnInTable",
        "naiveBayesClassifier",
        "FILE",
        "HOSTNAME",
    ),
)
TABLES = ("trades", "default.trades", "numbers(3)", "(SELECT 1 AS price)", "values('price UInt8', 1)", "system.tables")
FORBIDDEN_TABLES = (
    *("file('/etc/passwd')", "url('http://127.0.0.1:1/')", "remote('127.0.0.1:1', system.one)", "s3('http://a/b')"),
    *(
        "executable('x', 'TSV', 'a String')",
        "Python(engine)",
        "python('engine')",
        "merge('system', '.*')",
        "loop(trades)",
    ),
    *(
        "sqlite('a', 'b')",
        "mysql('a:1', 'b', 'c', 'd', 'e')",
        "postgresql('a:1', 'b', 'c', 'd', 'e')",
        "dictionary('d')",
    ),
    *("hdfs('hdfs://a/b')", "jdbc('a', 'b', 'c')", "odbc('a', 'b', 'c')", "cluster('a', system.one)", "null('a Int8')"),
    *(
        "eval('SELECT 1')",
        "fileCluster('c', '/x')",
        "filesystem('/')",
        "format(CSV, '1')",
        "viewExplain('EXPLAIN', '', 1)",
    ),
    *(
        "input('a Int8')",
        "icebergLocal('/x')",
        "mergeTreeIndex('default', 'trades')",
        "arrowstream(1)",
        "redis('a', 'b', 'c')",
    ),
    *("system.processes", "system.users", "system.named_collections", "system.stack_trace", "system.server_settings"),
)
FORBIDDEN_STATEMENTS = (
    *("KILL QUERY WHERE 1", "SYSTEM SHUTDOWN", "SYSTEM STOP MERGES", "DROP TABLE trades", "TRUNCATE TABLE trades"),
    *("ALTER TABLE trades DELETE WHERE 1", "INSERT INTO trades SELECT * FROM trades", "OPTIMIZE TABLE trades FINAL"),
    *("CREATE TABLE x (a Int8) ENGINE = Memory", "CREATE VIEW v AS SELECT 1", "CREATE FUNCTION f AS x -> x"),
    *(
        "CREATE TABLE x ENGINE = File(CSV) AS SELECT 1",
        "RENAME TABLE trades TO x",
        "EXCHANGE TABLES trades AND factors",
    ),
    *("DETACH TABLE trades", "ATTACH TABLE x", "UNDROP TABLE trades", "DELETE FROM trades WHERE 1", "SET readonly = 0"),
    *(
        "UPDATE trades SET price = 1 WHERE 1",
        "USE system",
        "GRANT ALL ON *.* TO x",
        "CREATE USER x",
        "CHECK TABLE trades",
    ),
    *(
        "BACKUP TABLE trades TO File('/x')",
        "RESTORE TABLE trades FROM File('/x')",
        "EXECUTE AS x SELECT 1",
        "BEGIN TRANSACTION",
    ),
    *(
        "SHOW PROCESSLIST",
        "SHOW GRANTS",
        "SHOW USERS",
        "SELECT 1 PARALLEL WITH DROP TABLE trades",
        "COPY trades TO STDOUT",
    ),
    *("EXPLAIN TABLE OVERRIDE mysql('a:1', 'b', 'c', 'd', 'e') PARTITION BY x", "EXPLAIN INSERT INTO trades SELECT 1"),
    *("CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(PATH '/x' FORMAT 'CSV')) LAYOUT(FLAT())", "WATCH v"),
    *(
        "INSERT INTO FUNCTION file('/x') SELECT 1",
        "INSERT INTO trades FROM INFILE '/etc/passwd' FORMAT CSV",
        "SHOW ACCESS",
    ),
)
OUTPUTS = (
    *("INTO OUTFILE '/x/y'", "INTO OUTFILE '/x/y' APPEND", "INTO OUTFILE '/x/y' TRUNCATE FORMAT CSV"),
    *(
        "INTO OUTFILE '/x/y' AND STDOUT",
        "INTO OUTFILE '/x/y' COMPRESSION 'gzip' LEVEL 3",
        "FORMAT CSV",
        "FORMAT JSON",
    ),
    *("FORMAT Template", "SETTINGS max_threads = 1", "SETTINGS readonly = 0", "SETTINGS max_memory_usage = 0"),
    *("SETTINGS additional_result_filter = 'file(1)'", "SETTINGS format_template_row = '/etc/passwd' FORMAT Template"),
    *("FORMAT CSV SETTINGS max_execution_time = 0", "SETTINGS dialect = 'kusto'"),
)
SPACES = (
    " ",
    " ",
    " ",
    "\n",
    "\t",
    "  ",
    "\r\n",
    " /**/ ",
    " /* ; ' */ ",
    " -- '\n",
    " # x\n",
    "\f",
    "\u00a0",
    "\u200b",
    "\u3000",
)


class Generator:
    """Makes statements, the same ones from the same seed.

    Args:
        seed: Of the random choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def statement(self) -> str:
        """Make one text. It may be one statement, several, or none."""
        text = self._dressed(self._plain())
        if self._chance(0.08):
            text = text + self._pick((";", " ; ", ";\n")) + self._dressed(self._plain())
        if self._chance(0.1):
            text = self._damaged(text)
        return text

    def _plain(self) -> str:
        made = self._pick((self._select, self._select, self._select, self._forbidden, self._wrapped))()
        return f"{made} {self._pick(OUTPUTS)}" if self._chance(0.3) else made

    def _forbidden(self) -> str:
        return self._pick(FORBIDDEN_STATEMENTS)

    def _wrapped(self) -> str:
        inner = self._select()
        return self._pick(
            (
                f"EXPLAIN {inner}",
                f"EXPLAIN AST {inner}",
                f"EXPLAIN PIPELINE graph = 1 {inner}",
                f"DESCRIBE ({inner})",
                f"DESCRIBE TABLE {self._table()}",
                f"SHOW TABLES WHERE {self._expression()}",
                f"SHOW COLUMNS FROM trades WHERE {self._expression()}",
                "SHOW TABLES LIKE 'x WHERE file(1)'",
                f"SELECT * FROM (EXPLAIN {inner})",
                f"EXISTS TABLE {self._pick(('trades', 'system.processes'))}",
                f"SHOW CREATE TABLE {self._pick(('trades', 'x'))}",
            )
        )

    def _select(self, depth: int = 0) -> str:
        columns = ", ".join(self._column(depth) for _ in range(self._random.randint(1, 3)))
        text = f"SELECT {columns} FROM {self._table(depth)}"
        clauses: tuple[tuple[float, Callable[[], str]], ...] = (
            (0.1, lambda: f" AS t JOIN {self._table(depth)} AS u ON {self._expression(depth)}"),
            (0.3, lambda: f" WHERE {self._expression(depth)}"),
            (0.1, lambda: " GROUP BY symbol"),
            (0.1, lambda: f" HAVING {self._expression(depth)}"),
            (0.1, lambda: f" ORDER BY {self._expression(depth)}"),
            (0.1, lambda: f" LIMIT {self._pick(('1', '1, 2', self._expression(depth)))}"),
            (0.05, lambda: " SETTINGS max_threads = 1"),
        )
        text += "".join(make() for chance, make in clauses if self._chance(chance))
        if self._chance(0.1) and depth < 2:
            text = self._pick(
                (f"WITH x AS ({self._select(depth + 1)}) {text}", f"WITH {self._expression(depth)} AS w {text}")
            )
        return f"{text} UNION ALL {self._select(depth + 1)}" if self._chance(0.05) and depth < 2 else text

    def _column(self, depth: int) -> str:
        if self._chance(0.06):
            return f"* APPLY({self._pick((*FUNCTIONS, *FORBIDDEN_FUNCTIONS))})"
        if self._chance(0.04):
            return f"* REPLACE ({self._expression(depth)} AS price)"
        alias = self._pick(("", "", " AS a", " AS a$$", " AS `b$$`", ' AS "c d"', " AS file", " AS `$d`"))
        return self._expression(depth) + alias

    def _table(self, depth: int = 0) -> str:
        if self._chance(0.15) and depth < 2:
            return f"({self._select(depth + 1)})"
        if self._chance(0.05) and depth < 2:
            return f"view({self._select(depth + 1)})"
        return self._pick(FORBIDDEN_TABLES if self._chance(0.12) else TABLES)

    def _expression(self, depth: int = 0) -> str:
        roll = self._random.random()
        if roll < 0.1:
            return f"{self._pick(FORBIDDEN_FUNCTIONS)}({self._pick(('', '1', self._literal()))})"
        if roll < 0.3 and depth < 3:
            return f"{self._pick(FUNCTIONS)}({self._expression(depth + 1)})"
        if roll < 0.36 and depth < 2:
            return f"({self._select(depth + 1)})"
        if roll < 0.42 and depth < 2:
            return f"price IN ({self._select(depth + 1)})"
        if roll < 0.46:
            return f"price IN {self._pick(('trades', 'system.processes', 'system.users', '(1, 2)'))}"
        if roll < 0.5:
            return f"arrayMap(x -> {self._expression(depth + 1)}, tags)"
        if roll < 0.6:
            return f"{self._expression(depth + 1)} {self._pick(('+', '=', 'AND', '||', 'OR', '<'))} {self._literal()}"
        return self._literal() if roll < 0.75 else self._pick(COLUMNS)

    def _literal(self) -> str:
        return self._pick(
            (
                *("1", "'x'", "'it''s'", "'a\\'b'", "$$ text ' $$", "$tag$ ; $tag$", "'/etc/passwd'", "NULL", "[1, 2]"),
                *(
                    "$$'$$",
                    "'-- '",
                    "'/*'",
                    "\u2018x\u2019",
                    "\u201cx\u201d",
                    "'\\x66ile'",
                    "$a$ $$ $a$",
                    "0x1F",
                    "(1, 2)",
                ),
            )
        )

    def _dressed(self, text: str) -> str:
        """The same words, quoted, cased, spaced and commented otherwise."""
        return self._pick(SPACES[:3]).join(self._word(word) for word in text.split(" "))

    def _word(self, word: str) -> str:
        name, bracket, rest = word.partition("(")
        if name.isidentifier() and self._chance(0.06):
            name = self._name(name)
        if bracket and self._chance(0.05):
            bracket = self._pick((" (", "/**/(", "\n("))
        word = name + bracket + rest
        return word + self._pick(SPACES) if self._chance(0.03) else word

    def _name(self, name: str) -> str:
        if name.isupper() and self._chance(0.9):  # a keyword, which no quotes may surround
            return self._pick((name.lower(), name.title()))
        escaped = f"\\x{ord(name[0]):02x}{name[1:]}"
        right = (name.upper(), name.swapcase(), f"`{name}`", f'"{name}"', f"`{escaped}`", f'"{escaped}"', f"{name}$$")
        wrong = (f"$${name}", f"\u2018{name}\u2019", f"`{name}``", f"{name}\\", escaped)
        return self._pick(wrong if self._chance(0.2) else right)

    def _damaged(self, text: str) -> str:
        for _ in range(self._random.randint(1, 4)):
            at = self._random.randrange(len(text) + 1)
            piece = self._pick(
                ("'", '"', "`", "$$", ";", "--", "/*", "*/", "\\", "(", ")", "\x00", "\n", "#!", "", "\u2019")
            )
            text = text[:at] + piece + text[at + self._pick((0, 0, 1, 2)) :]
        return text

    def _pick(self, among: tuple[T, ...]) -> T:
        return self._random.choice(among)

    def _chance(self, chance: float) -> bool:
        return self._random.random() < chance
