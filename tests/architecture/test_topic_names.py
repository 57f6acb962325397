"""Topic names are written in one place."""

import ast
from pathlib import Path

from schemas.topics import BY_NAME

ROOT = Path(__file__).parents[2]
ROLES = ("obflow", "schemas", "orderbook", "producers", "processors", "sinks", "research", "embedded")
FILES = [path for role in ROLES for path in sorted((ROOT / role).rglob("*.py")) if path.name != "topics.py"]


def literals(path: Path) -> set[str]:
    """Every string constant of a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose)
    return {node.value for node in constants if isinstance(node.value, str)}


def test_no_topic_is_named_outside_the_declaration() -> None:
    assert {str(path): named for path in FILES if (named := literals(path) & BY_NAME.keys())} == {}


def test_the_check_sees_a_planted_name(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text('"""l2.v1"""\nTOPIC = "l2.v1"\n')
    assert not literals(planted).isdisjoint(BY_NAME)
