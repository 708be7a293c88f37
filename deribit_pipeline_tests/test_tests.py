"""Rules for tests: each has a unique name and is able to fail."""

import ast
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TREES = {
    path.relative_to(HERE).as_posix(): ast.parse(path.read_text())
    for path in sorted(HERE.rglob("*.py"))
}
MODULES = [name for name in TREES if Path(name).name.startswith("test_")]


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def calls(function: ast.FunctionDef) -> set[str]:
    """What a function calls, or hands to another to call, by its last name."""
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute | ast.Name)
    }


def asserts(function: ast.FunctionDef) -> bool:
    expects = {"raises", "warns"}
    return bool(expects & calls(function)) or any(
        isinstance(node, ast.Assert) for node in ast.walk(function)
    )


def helpers_of(module: str) -> list[ast.FunctionDef]:
    """The functions of a module of tests, and those that it imports from other modules of them."""
    tree = TREES[module]
    found = [f for f in functions_of(tree) if not f.name.startswith("test_")]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(HERE.name):
            other = "/".join((node.module or "").split(".")[1:]) + ".py"
            names = {each.name for each in node.names}
            found += [f for f in functions_of(TREES.get(other, tree)) if f.name in names]
    return found


def test_no_two_tests_have_one_name() -> None:
    names = Counter(
        function.name
        for module in MODULES
        for function in functions_of(TREES[module])
        if function.name.startswith("test_")
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("module", MODULES)
def test_each_test_asserts_something_or_calls_a_function_that_does(module: str) -> None:
    helpers = helpers_of(module)
    asserting = {function.name for function in helpers if asserts(function)}
    while more := {f.name for f in helpers if calls(f) & asserting} - asserting:
        asserting |= more
    tests = [f for f in functions_of(TREES[module]) if f.name.startswith("test_")]
    assert [f.name for f in tests if not asserts(f) and not calls(f) & asserting] == []


IMPORT = re.compile(r"^from (deribit_pipeline[\w.]*) import (\w+)$", re.MULTILINE)
PROGRAMS = [
    found
    for name, tree in TREES.items()
    if name != "test_layers.py"  # whose imports are invented
    for node in ast.walk(tree)
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
    for found in IMPORT.findall(node.value)
]


@pytest.mark.parametrize(("module", "name"), sorted(set(PROGRAMS)))
def test_programs_in_strings_import_what_exists(module: str, name: str) -> None:
    """A program that a test starts, and that only has to fail, would fail of a wrong import too."""
    try:
        assert pkgutil.resolve_name(f"{module}:{name}") is not None
    except AttributeError:
        assert pkgutil.resolve_name(f"{module}.{name}") is not None
