"""Every public function over tensors gives their shapes in its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for package in ("genbench", "adapters/genbench_adapters")
    for path in sorted((ROOT / package).rglob("*.py"))
}
TENSORS = {"Tensor", "NDArray", "ndarray"}
# `[N, 3, H, W]`, `[N]`, scalar or any shape; neither a range ([-1, 1]) nor an index (x[i]).
SHAPE = re.compile(r"(?<![\w\])])\[[^\[\]]*[A-Za-z][^\[\]]*\]|\bscalars?\b|\bany\s+shape\b")
SAME_AS = re.compile(r"\bAs `?([A-Z]\w*\.\w+)")


def words(node: ast.AST | None) -> set[str]:
    return set(re.findall(r"\w+", ast.unparse(node))) if node else set()


def made(tree: ast.Module) -> set[str]:
    """The names that a module gives to types over tensors."""
    types = [node for node in tree.body if isinstance(node, ast.Assign)]
    types = [node for node in types if isinstance(node.value, ast.Subscript | ast.BinOp)]
    return {ast.unparse(node.targets[0]) for node in types if TENSORS & words(node.value)}


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """(qualified name, function, what is said of it) of the public functions and methods.

    A class's docstring may speak for its calls, which it is for, and for its properties.
    """
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    owners: list[ast.Module | ast.ClassDef] = [node for node in classes if node.name[0] != "_"]
    for owner in (tree, *owners):
        within = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
        for node in (node for node in owner.body if isinstance(node, ast.FunctionDef)):
            said, called = ast.get_docstring(node) or "", node.name in ("forward", "__call__")
            marks = {ast.unparse(mark) for mark in node.decorator_list}
            if within and (called or marks & {"property", "cached_property"}):
                said += "\n" + (ast.get_docstring(owner) or "")
            if called or node.name[0] != "_":
                yield within + node.name, node, said


def over_tensors(modules: Mapping[str, ast.Module]) -> Iterator[tuple[str, str, str]]:
    """(file:line name, name, what is said of it) of the public functions over tensors."""
    for path, tree in modules.items():
        known = TENSORS | made(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                place = node.module.replace(".", "/") + ".py"
                source = modules.get(place) or modules.get(f"adapters/{place}")
                known |= words(node) & made(source) if source else set()
        for name, function, said in public(tree):
            args = ast.walk(function.args)
            notes = [node.annotation for node in args if isinstance(node, ast.arg)]
            if known & set().union(*map(words, (*notes, function.returns))):
                yield f"{path}:{function.lineno} {name}", name, said


def shapeless(modules: Mapping[str, ast.Module]) -> list[str]:
    """Those that give no shape; "As Base.method" gives that method's."""
    found = list(over_tensors(modules))
    bad = [item for item in found if not SHAPE.search(item[2])]
    good = {name for _, name, _ in found} - {name for _, name, _ in bad}
    return [place for place, _, said in bad if not good & set(SAME_AS.findall(said))]


def test_functions_over_tensors_give_shapes() -> None:
    missing = shapeless(MODULES)
    assert not missing, "no shape in the docstrings of\n" + "\n".join(missing)


@pytest.mark.parametrize(
    ("notes", "said", "bad"),
    [
        ("x: Tensor", "Images [N, 3, H, W], float32 in [-1, 1].", False),
        ("x: list[Tensor]", "Their loss, a scalar.", False),
        ("x: Tensor", "As Base.images.", False),
        ("x: int", "Twice the number.", False),
        ("x: Tensor", "Images in [-1, 1], of which x[i] is one.", True),
        ("x: Iterator[NDArray[np.uint8]]", "Images.", True),
        ("x: Pair", "Images.", True),
        ("*, x: 'torch.Tensor | None'", "As Base.nothing.", True),
    ],
)
def test_a_docstring_without_a_shape_is_seen(notes: str, said: str, bad: bool) -> None:
    base = 'class Base:\n    def images(self) -> Tensor:\n        "uint8 [N, 3, H, W]."\n'
    source = f"{base}from b import Pair\ndef f({notes}): {said!r}"
    modules = {"a.py": ast.parse(source), "b.py": ast.parse("Pair = tuple[Tensor, Tensor]")}
    assert shapeless(modules) == (["a.py:5 f"] if bad else [])
