"""What a tree of a statement may hold, for a reader and for who may write.

That texts become such trees is the engine's own affair: tests/integration/test_statement_rules.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.clickhouse_allowed import REFUSED_FUNCTIONS, is_callable
from embedded.clickhouse_limits import bounds, reader_settings
from embedded.clickhouse_rules import Asker, judge
from embedded.clickhouse_sql import QueryRefused

READER, WRITER = Asker(may_write=False), Asker(may_write=True)


def call(name: str, *arguments: Any) -> dict[str, Any]:
    return {"type": "Function", "name": name, "arguments": {"type": "ExpressionList", "children": [*arguments]}}


def select(*columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    one = {"type": "SelectQuery", "select": {"type": "ExpressionList", "children": [*columns]}, **more}
    return {"type": "SelectWithUnionQuery", "list_of_selects": {"type": "ExpressionList", "children": [one]}}


def table(*parts: str) -> dict[str, Any]:
    return {"type": "TableIdentifier", "name": ".".join(parts), "name_parts": [*parts]}


def settings(**values: Any) -> dict[str, Any]:
    changes = [{"name": name, "value": {"field_type": "String", "value": value}} for name, value in values.items()]
    return {"type": "SetQuery", "changes": changes}


def refused(tree: dict[str, Any], asker: Asker = READER) -> int:
    with pytest.raises(QueryRefused) as raised:
        judge(tree, asker)
    return raised.value.code


@pytest.mark.parametrize("asker", [READER, WRITER])
@pytest.mark.parametrize("name", sorted(REFUSED_FUNCTIONS))
def test_a_function_that_is_refused_is_refused_wherever_it_stands(name: str, asker: Asker) -> None:
    for tree in (
        select(call(name)),
        select(call("sum", call("plus", call(name)))),
        select(call(name.upper())),
        select({"type": "ColumnsApplyTransformer", "func_name": name}),
        select(where={"type": "Subquery", "children": [select(call(name))]}),
        {"type": "ShowTablesQuery", "where_expression": call(name)},
        {"type": "ExplainQuery", "kind": "EXPLAIN", "query": select(call(name))},
        {"type": "DescribeQuery", "described": select(call(name))},
    ):
        assert refused(tree, asker) == 497


@given(st.text(max_size=300))
def test_a_function_nobody_has_listed_is_refused(name: str) -> None:
    if not is_callable(name):
        assert refused(select(call(name))) == 497


@pytest.mark.parametrize(
    "name", ["sum", "SUM", "sumIf", "quantilesTDigestArrayIf", "uniqMergeState", "Now64", "lambda", "countDistinctIf"]
)
def test_aggregates_combine_and_letters_may_be_any_case(name: str) -> None:
    assert judge(select(call(name)), READER).answers


@pytest.mark.parametrize("name", ["fileIf", "upperIf", "IfIf", "sumIfx", "hostNameState", "sum" + "If" * 500])
def test_only_an_aggregate_combines(name: str) -> None:
    assert refused(select(call(name))) == 497


@pytest.mark.parametrize("name", ["file", "url", "merge", "Python", "eval", "input", "viewIfPermitted", "sum"])
@pytest.mark.parametrize("key", ["table_function", "as_table_function"])
def test_rows_come_from_no_other_table_function(name: str, key: str) -> None:
    assert (
        refused(select(tables={"type": "TableExpression", key: call(name)}), WRITER if "as" in key else READER) == 497
    )


def test_a_lambda_is_called_by_its_alias_unless_the_engine_has_one_of_that_name() -> None:
    for alias, allowed in (("twice", True), ("file", False), ("FILE", False), ("hostname", False)):
        tree = select({**call("lambda"), "alias": alias}, call(alias))
        if allowed:
            judge(tree, READER)
        else:
            assert refused(tree) == 497
    tree = select({**call("lambda"), "alias": "processes"}, tables=table("processes"))
    assert refused(tree, Asker(may_write=False, database="system")) == 497


@pytest.mark.parametrize("kind", ["KillQueryQuery", "SystemQuery", "DropQuery", "InsertQuery", "AlterQuery", "Unheard"])
def test_a_reader_runs_no_other_kind(kind: str) -> None:
    assert refused({"type": kind}) == 164


@pytest.mark.parametrize("kind", ["SystemQuery", "BackupQuery", "GrantQuery", "CreateSQLFunctionQuery", "Unheard"])
def test_who_may_write_runs_no_kind_that_is_not_listed(kind: str) -> None:
    assert refused({"type": kind}, WRITER) == 497


@pytest.mark.parametrize("kind", ["SetQuery", "UseQuery"])
def test_there_are_no_sessions(kind: str) -> None:
    assert refused({"type": kind}, READER) == refused({"type": kind}, WRITER) == 48


@pytest.mark.parametrize("where", ["root", "explained", "nested"])
def test_no_answer_goes_into_a_file(where: str) -> None:
    written = {**select(call("sum")), "out_file": {"type": "Literal"}}
    tree = {
        "root": written,
        "explained": {"type": "ExplainQuery", "kind": "EXPLAIN", "query": written},
        "nested": select({"type": "Subquery", "children": [written]}),
    }[where]
    assert refused(tree, READER) == refused(tree, WRITER) == 358


def test_rows_come_from_a_file_only_where_they_were_sent() -> None:
    tree = {"type": "InsertQuery", "infile": {"type": "Literal"}, "format": "Native"}
    assert refused(tree, WRITER) == 358
    judge(tree, Asker(may_write=True, sends_rows=True))


@pytest.mark.parametrize("name", ["Template", "Protobuf", "CapnProto", "DataFrame", "ArrowTable", "Debug", "x"])
def test_a_format_that_needs_more_than_rows_is_refused(name: str) -> None:
    assert refused({**select(), "format_ast": {"type": "Identifier", "name": name}}) == 73
    assert refused({"type": "InsertQuery", "format": name}, WRITER) == 73


def test_a_reader_sees_tables_that_are_data() -> None:
    in_system = Asker(may_write=False, database="system", parameters={"t": "processes", "s": "s\\x79stem"})
    given = {"type": "TableIdentifier", "name": "", "name_parts": ["system", ""]}
    parameter = {"type": "QueryParameter", "name": "t", "param_type": "Identifier"}
    for tree in (
        select(tables=table("system", "processes")),
        select(tables={**given, "children": [parameter]}),
        select(call("in", table("a"), {**table("processes"), "type": "Identifier"})),
        select(tables=table("processes")),
        select(tables={**given, "name_parts": ["", "processes"], "children": [{**parameter, "name": "s"}]}),
    ):
        assert refused(tree, in_system) == 497
    judge(select(tables=table("system", "tables")), in_system)
    judge(select(tables=table("trades", "processes")), READER)
    judge(select(tables=table("system", "processes")), WRITER)


def test_settings_at_the_end_are_taken_out_and_others_are_refused() -> None:
    verdict = judge({**select(call("sum"), settings=settings(a="1")), "settings_ast": settings(b="x", a="2")}, READER)
    assert verdict.settings == {"a": "2", "b": "x"}
    assert "settings" not in str(verdict.tree).replace("settings_ast", "settings")
    assert refused(select({"type": "Subquery", "children": [select(settings=settings(a="1"))]})) == 164
    assert (
        refused(
            select({"type": "Subquery", "children": [select(settings={"type": "SetQuery", "default_settings": ["a"]})]})
        )
        == 164
    )


@pytest.mark.parametrize("name", ["dialect", "disk", "storage_policy", "additional_result_filter"])
def test_nobody_names_a_setting_that_brings_in_other_text_or_folders(name: str) -> None:
    assert refused({"type": "CreateQuery", "storage": {"settings": settings(**{name: "x"})}}, WRITER) == 164


@pytest.mark.parametrize("name", ["File", "URL", "S3", "MySQL", "Executable", "Distributed", "KeeperMap", "Filesystem"])
def test_rows_are_kept_by_engines_of_the_own_folder_alone(name: str) -> None:
    assert refused({"type": "CreateQuery", "storage": {"engine": call(name)}}, WRITER) == 497
    judge({"type": "CreateQuery", "storage": {"engine": call("MergeTree")}}, WRITER)


def test_a_codec_is_no_function() -> None:
    judge({"type": "CreateQuery", "codec": call("CODEC", call("ZSTD")), "index_type": call("bloom_filter")}, WRITER)


@pytest.mark.parametrize("kind", ["EXPLAIN TABLE OVERRIDE", "EXPLAIN CURRENT TRANSACTION", "EXPLAIN ANYTHING"])
def test_explain_explains_what_reads(kind: str) -> None:
    assert refused({"type": "ExplainQuery", "kind": kind, "query": select()}) == 164
    assert refused({"type": "ExplainQuery", "kind": "EXPLAIN", "query": {"type": "InsertQuery"}}) == 164


def test_a_query_is_killed_by_the_name_its_client_gave_it() -> None:
    tree = {"type": "KillQueryQuery", "where_expression": call("equals", {"type": "Identifier", "name": "query_id"})}
    killed = judge(tree, WRITER).tree
    assert "log_comment" in str(killed)
    assert "query_id" not in str(killed)
    assert "query_id" in str(tree)


@given(st.dictionaries(st.sampled_from(sorted(bounds())), st.text(max_size=20) | st.floats().map(str)))
def test_a_bound_is_lowered_or_stays(asked: dict[str, str]) -> None:
    for name, value in reader_settings(asked).items():
        assert 0 < float(value) <= bounds()[name]


@pytest.mark.parametrize("name", ["readonly", "profile", "max_server_memory_usage", "allow_ddl", "", "MAX_THREADS"])
def test_a_reader_gives_no_setting_that_is_not_listed(name: str) -> None:
    with pytest.raises(QueryRefused) as raised:
        reader_settings({name: "1"})
    assert raised.value.code == 164
