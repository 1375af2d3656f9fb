"""Imports go one way: a room imports rooms of lower floors alone, and no file in a circle."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Bottom up. A room is a folder of genbench/, or a file beside them. One floor's are strangers.
FLOORS = [
    {"errors", "version"},
    {"runtime", "metrics"},
    {"weights", "records", "images"},
    {"models", "detectors", "tables"},
    {"quality", "speed"},
    {"given", "fetching"},
    {"explaining", "bundles", "verdicts", "watching"},
    {"report", "api", "evaluator"},
    {"reproducing", "site"},
    {"cli"},
    {"__main__"},
]
# What the families may import of genbench, as strangers' packages may.
FOR_ADAPTERS = {
    *("errors", "runtime", "weights", "images"),
    *("models.contract", "models.optional", "models.noise", "models.code_digest"),
}
BY_TEXT = {"import_module", "__import__", "find_spec"}
ENGINE = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "genbench").rglob("*.py"))
}


def imported(source: str, modules: Mapping[str, object]) -> set[str]:
    """The modules of genbench that a source imports anywhere: lazily, for types, by their names in
    text (`import_module("genbench.x")`), and with their dots where the import is relative."""
    found: set[object] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.add("genbench." + "." * node.level + (node.module or ""))
                continue
            for alias in node.names:
                within = f"{node.module}.{alias.name}"
                found.add(within if within in modules else str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in BY_TEXT:
            found |= {item.value for item in node.args if isinstance(item, ast.Constant)}
    return {str(name) for name in found if str(name).split(".")[0] == "genbench"}


def room_of(module: str) -> str:
    """The folder of genbench/, or the file; the package itself is its public door."""
    return [*module.split("."), "api"][1]


def floor_of(module: str) -> int:
    room = room_of(module)
    assert any(room in floor for floor in FLOORS), f"{module}: give the room {room!r} a floor"
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


def upward(module: str, source: str, modules: Mapping[str, object]) -> Iterator[str]:
    """The imports of a module that leave its room without going down."""
    for name in sorted(imported(source, modules)):
        if ".." in name:
            yield f"{module} must name modules in full, not as {name.removeprefix('genbench')}"
        elif room_of(name) != room_of(module) and floor_of(name) >= floor_of(module):
            yield f"{module} must not import {name}"


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another, in order; empty when there is no circle."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if found := walk(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next(filter(None, (walk(name, []) for name in sorted(arrows))), [])


ROOMS = [name for name in ENGINE if name != "genbench"]


@pytest.mark.parametrize("module", ROOMS)
def test_a_room_imports_only_from_below(module: str) -> None:
    source = ENGINE[module].read_text()
    assert not list(upward(module, source, ENGINE))
    assert "genbench_adapters" not in source, f"{module}: the engine knows no model family"


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(module) for module in ROOMS}
    floors = [room for floor in FLOORS for room in floor]
    assert rooms == set(floors)
    assert len(floors) == len(set(floors))


def test_no_files_import_in_a_circle() -> None:
    arrows = {name: imported(path.read_text(), ENGINE) for name, path in ENGINE.items()}
    assert not circle(arrows)


ADAPTERS = sorted((ROOT / "adapters" / "genbench_adapters").rglob("*.py"))


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: "/".join(path.parts[-2:]))
def test_adapters_import_only_what_strangers_may(path: Path) -> None:
    for name in imported(path.read_text(), ENGINE):
        inside = name.removeprefix("genbench.")
        allowed = {inside, inside.split(".")[0]} & FOR_ADAPTERS
        assert allowed, f"{path.relative_to(ROOT)} must not import {name}"


@pytest.mark.parametrize(
    "source",
    [
        "from genbench.cli.console import stdout",
        "def later():\n    from genbench.quality import evaluation",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import genbench.speed.timing",
        "from genbench import report",
        "from genbench.images.sets import ImageSet",  # a stranger on the same floor
        "from genbench import evaluate",  # the door stands above the rooms
        "import genbench",
        "import importlib\nimportlib.import_module('genbench.report')",
        "__import__('genbench.report')",
        "from ..cli import app",
        "from . import kinds",  # in full, though it is of the same room
    ],
)
def test_an_upward_import_is_seen(source: str) -> None:
    assert list(upward("genbench.records.store", source, {"genbench.report": None}))


def test_imports_downward_and_within_a_room_are_not() -> None:
    source = "from genbench.errors import UsageError\nfrom genbench.records.measurement import X"
    assert not list(upward("genbench.records.store", source, {}))


def test_a_circle_is_seen() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set[str]()}
    assert circle(arrows) == ["b", "c", "b"]
    assert not circle({"a": {"b", "c"}, "b": {"c"}, "c": set[str]()})


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, genbench.cli.app; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'scipy', 'PIL') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-m", "genbench", "fid", "--help"]
    subprocess.run(command, capture_output=True, check=True)  # compiles the bytecode
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert computed < 1.0  # seconds of a processor: half of one on an idle machine


def test_files_stay_small() -> None:
    files = [*ENGINE.values(), *(path for path in ADAPTERS if path.name != "network.py")]
    assert not [path for path in files if len(path.read_text().splitlines()) > 300]
