"""Finds every advice in the packages: what `next_step` and a check's remedy say, with `{…}` for what is filled in.

Read from the source, so that a sentence nobody ever sees in a test is found too. What is not written where it is raised
(a constant, a variable, a parameter, what a function returns) is followed to where it is.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("embedded", "obflow", "orderbook", "processors", "producers", "research", "schemas", "sinks")
KEYWORDS: Final = {"next_step", "remedy"}
CHECK: Final = ("Check", 3)
"""A call whose fourth argument is a remedy."""
HINTS: Final = (*KEYWORDS, f"{CHECK[0]}(")
"""What stands in a module that gives advice; the others are not taken apart."""
FILLED_IN: Final = "{…}"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def advices() -> dict[str, list[str]]:
    """Every advice, and where it stands."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in (module for module in modules() if any(hint in module.source for hint in HINTS)):
        for call, value in _given(module.tree):
            for text in module.texts(value, call):
                found[text].append(f"{module.path.relative_to(ROOT)}:{call.lineno}")
    return dict(found)


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the packages."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple(Module(path) for path in paths if path.name != "__main__.py")


class Module:
    """One module's source.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The source, taken apart."""
        return ast.parse(self.source)

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def texts(self, value: ast.expr, at: ast.AST) -> list[str]:
        """What an expression may say; its source in braces where that is only known when it runs."""
        if isinstance(value, ast.Constant):
            return [value.value] if isinstance(value.value, str) and value.value else []
        if isinstance(value, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else FILLED_IN for part in value.values)
            return ["".join(map(str, parts))]
        if isinstance(value, ast.IfExp):
            return [*self.texts(value.body, at), *self.texts(value.orelse, at)]
        if isinstance(value, ast.Name):
            return self._named(value, at)
        if isinstance(value, ast.Call):
            return self._returned(value) or [f"{{{ast.unparse(value)}}}"]
        constant = self._constant(value)
        return [constant] if constant else [f"{{{ast.unparse(value)}}}"]

    def _named(self, name: ast.Name, at: ast.AST) -> list[str]:
        function = self._function_around(at)
        if function is not None:
            assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
            values = [node.value for node in assigned if name.id in {getattr(to, "id", "") for to in node.targets}]
            if values:
                return [text for value in values for text in self.texts(value, at)]
            if name.id in (parameters := _parameters(function)):
                return self._passed(function, name.id, parameters)
        constant = self._constant(name)
        return [constant] if constant else [f"{{{name.id}}}"]

    def _passed(self, function: Function, name: str, parameters: list[str]) -> list[str]:
        """What callers in this module give for a parameter, and its default."""
        default = _default(function, name)
        texts = self.texts(default, self.tree) if default is not None else []
        place = [each for each in parameters if each != "self"].index(name)
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            is_itself = self._function_around(call) is function  # such as `super().__init__(…)`
            if not is_itself and getattr(call.func, "id", getattr(call.func, "attr", "")) == function.name:
                given = [keyword.value for keyword in call.keywords if keyword.arg == name]
                given += call.args[place : place + 1]
                texts += [text for value in given for text in self.texts(value, call)]
        return texts

    def _returned(self, call: ast.Call) -> list[str]:
        """What a function of ours returns."""
        called = self._evaluate(call.func)
        if not inspect.isfunction(called) or called.__module__.split(".")[0] not in PACKAGES:
            return []
        home = next(module for module in modules() if module.name == called.__module__)
        function = home.function(called.__name__)
        returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
        return [text for value in returns for text in home.texts(value, value)]

    def strings(self) -> list[ast.Constant]:
        """Every text in it, docstrings included."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]

    def function(self, name: str) -> Function:
        """A function of this module."""
        return next(node for node in ast.walk(self.tree) if isinstance(node, Function) and node.name == name)

    def _constant(self, value: ast.expr) -> str:
        found = self._evaluate(value)
        return found if isinstance(found, str) else ""

    def _evaluate(self, value: ast.expr) -> object:
        """What a name, or a name in an imported module, means at the module's level."""
        names = ast.unparse(value).split(".")
        if not all(name.isidentifier() for name in names):
            return None
        found: object = self.loaded
        for name in names:
            found = getattr(found, name, None)
        return found

    @property
    def name(self) -> str:
        """Its name as it is imported."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    @property
    def loaded(self) -> ModuleType:
        """The module itself."""
        return importlib.import_module(self.name)

    def _function_around(self, node: ast.AST) -> Function | None:
        while node in self._parents:
            node = self._parents[node]
            if isinstance(node, Function):
                return node
        return None


def _given(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Every expression that is handed over as advice."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for keyword in call.keywords:
            if keyword.arg in KEYWORDS:
                yield call, keyword.value
        name, place = CHECK
        if getattr(call.func, "id", getattr(call.func, "attr", "")) == name and len(call.args) > place:
            yield call, call.args[place]


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    return [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _default(function: Function, name: str) -> ast.expr | None:
    arguments = function.args
    pairs = [*zip(reversed(arguments.args), reversed(arguments.defaults), strict=False)]
    pairs += [(each, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return next((value for each, value in pairs if each.arg == name), None)


@cache
def executed() -> dict[str, list[str]]:
    """Every advice that a test says it does, by `@pytest.mark.advice(…)`, and which tests."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "pytest.mark.advice":
                for argument in call.args:
                    found[ast.literal_eval(argument)].append(f"{path.relative_to(ROOT)}:{call.lineno}")
    return dict(found)
