"""Imports go one way: every room imports only rooms of a lower layer, or its named neighbours."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"core"},
    {"files", "progress", "sources", "speed_contract"},
    {"weights", "downloads"},
    {"registry", "noise", "images", "npz", "npz_statistics", "npz_writing", "image_files",
     "pictures", "picture_writing", "crops", "datasets", "metrics", "moments", "frechet",
     "neighbours", "neighbour_search", "half_distances", "scores", "distributed", "store",
     "shards", "environment", "protocols"},
    {"checkpoints"},
    {"filling", "references", "sampling", "detectors", "detectors_fidelity", "detectors_offline",
     "detector_checks", "detector_weights", "fidelity_extractors", "gpus", "flops",
     "timing", "sweep", "power"},
    {"features", "contract", "audits", "device_memory"},
    {"figures", "exports", "laboratory", "v100"},
    {"published", "table_specs"},
    {"tables", "curves"},
    {"table_layout", "html_page", "plots", "comparison", "sample_pictures"},
    {"table_formats", "table_html", "table_terminal"},
    {"recording", "reuse", "listing", "doctor", "sampling_speed", "training_speed"},
    {"speed_records"},
    {"runner", "console", "throughput", "report"},
    {"milestones", "speed_console"},
    {"cli_options"},
    {"cli_train", "cli_speed", "cli_tables", "cli_checks"},
    {"cli"},
    {"__main__"},
]  # fmt: skip
# One room in several files: these may import each other.
ROOMS = [
    {"images", "npz", "npz_statistics", "npz_writing", "image_files", "pictures",
     "picture_writing", "crops", "datasets"},
    {"metrics", "moments", "frechet", "neighbours", "neighbour_search", "half_distances", "scores"},
    {"weights", "downloads"},
    {"detectors", "detectors_fidelity", "detectors_offline", "detector_checks", "detector_weights",
     "fidelity_extractors"},
    {"published", "table_specs"},
]  # fmt: skip
ADAPTERS_MAY_IMPORT = {
    *("core", "noise", "weights", "images", "distributed"),
    *("files", "picture_writing"),  # training writes its states and previews
    "speed_contract",
}


def imported_modules(path: Path) -> set[str]:
    """Names of the genbench modules that a file imports anywhere in it."""
    found = set()
    tree = ast.parse(path.read_text())
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    for block in for_types:
        if isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            block.body = [ast.Pass()]  # names for annotations bind nothing at run time
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "genbench":
                found |= {alias.name for alias in node.names}
            else:
                found.add(node.module.removeprefix("genbench."))
            if not node.module.startswith("genbench"):
                found.discard(node.module)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {name.removeprefix("genbench.") for name in names if "genbench." in name}
    return found


def layer_of(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


ENGINE = sorted(path for path in (ROOT / "genbench").glob("*.py") if not path.stem.startswith("__"))


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_a_room_imports_only_from_below(path: Path) -> None:
    names = {engine.stem for engine in ENGINE}
    here = layer_of(path.stem)
    for module in imported_modules(path) & names:
        together = any({path.stem, module} <= room for room in ROOMS)
        assert together or layer_of(module) < here, f"{path.stem} must not import {module}"
    assert "genbench_adapters" not in path.read_text(), "the engine knows no model family"


ADAPTERS = sorted((ROOT / "adapters" / "genbench_adapters").rglob("*.py"))


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: "/".join(path.parts[-2:]))
def test_adapters_import_only_what_strangers_may(path: Path) -> None:
    names = {engine.stem for engine in ENGINE}
    assert imported_modules(path) & names <= ADAPTERS_MAY_IMPORT


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, genbench.cli; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'scipy', 'PIL') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-m", "genbench", "fid", "--help"]
    subprocess.run(command, capture_output=True, check=True)  # compiles the bytecode
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0  # half a second on an idle machine; CI is seldom idle


def test_files_stay_small() -> None:
    long = [path.name for path in ENGINE if len(path.read_text().splitlines()) > 300]
    assert not long
