"""README.md and docs/: the bundled block is current, every command in them can be given."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from made_records import speed

from genbench.cli.app import app
from genbench.models.naming import family_named, opened_by
from genbench.models.options import adapter_options
from genbench.models.registry import adapter_entries, find_adapter, load_adapter_class
from genbench.records.store import read_records
from genbench_adapters.exported_programs.family import ExportedProgram
from genbench_adapters.function.family import FunctionModel
from genbench_adapters.onnx_programs.family import OnnxProgram

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {
    command.name or getattr(command.callback, "__name__", ""): command.callback
    for command in app.registered_commands
}


def script() -> ModuleType:
    """benchmarks/readme.py, which is no package."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readme = script()
_OF_FILES: dict[str, type[Any]] = {
    "function": FunctionModel, "onnx": OnnxProgram, "pt2": ExportedProgram
}  # fmt: skip


def test_the_bundled_block_is_current() -> None:
    records = read_records(readme.KEPT)
    assert records
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_block(text, readme.block(records)) == text, "run `make readme`"
    assert readme.shown(readme.bundled(records)) == records, "records no cell shows"


def test_the_scatter_is_current() -> None:
    plot = readme.scatter(read_records(readme.KEPT))
    assert readme.SCATTER.exists() is (plot is not None)
    if plot is None:
        return
    pinned = re.search(r"^matplotlib==(\S+)$", (ROOT / "requirements.lock").read_text(), re.M)
    if pinned is None or metadata.version("matplotlib") != pinned[1]:
        pytest.skip("another matplotlib than the pinned one draws other bytes")
    assert readme.SCATTER.read_text(encoding="utf-8") == readme.draw_speed(plot)


def test_a_speed_on_record_brings_the_scatter() -> None:
    kept = read_records(readme.KEPT)
    records = [record for record in kept if record.metric != "throughput"]
    quality = next(record for record in records if record.metric == "fd")
    rate = speed(
        quality.model, 200.0, card=quality.card, options=quality.options,
        arithmetic=quality.arithmetic,
    )  # fmt: skip
    text = readme.block([*records, rate])
    assert "![FD against images per second on a CPU" in text
    assert "docs/bundled-speed.svg" in text


def test_a_block_replaces_only_itself() -> None:
    before = f"top\n{readme.BEGIN}\nold\n{readme.END}\nbottom\n"
    after = readme.with_block(before, f"{readme.BEGIN}\nnew\n{readme.END}")
    assert after == before.replace("old", "new")


def commands(page: Path) -> Iterator[str]:
    """Every genbench command line in the page's code blocks, the bundled table's apart."""
    text = re.sub(f"{readme.BEGIN}.*{readme.END}", "", page.read_text(), flags=re.S)
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        if language != "bash":
            continue
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\bdo\b|;", line.split(" #")[0]):
                words = part.strip().removeprefix("torchrun").strip()
                found = re.search(r"(?:^|-m )genbench (.*)", words)
                if found:
                    yield found[1]


def options(callback: Any) -> set[str]:
    """The option names of a command."""
    names = {"--help", "-h"}
    hints = get_type_hints(callback, include_extras=True)
    for name in inspect.signature(callback).parameters:
        names.add(f"--{name.replace('_', '-')}")
        for item in get_args(hints[name])[1:]:
            declared = (getattr(item, "default", None), *(getattr(item, "param_decls", None) or ()))
            names |= {word for word in declared if isinstance(word, str)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_in_the_pages_can_be_given(page: Path) -> None:
    assert list(commands(page)) or page.stem == "python"
    models = {entry.name for entry in adapter_entries()}
    for line in commands(page):
        words = [word for word in shlex.split(line) if word != "..."]
        name = words[0] if words else ""
        if not name or name.startswith("-"):
            continue
        assert name in COMMANDS, line
        known = options(COMMANDS[name])
        model = words[words.index("--model") + 1] if "--model" in words else ""
        if name == "check":
            model = words[1]
        if model in models:
            own = adapter_options(load_adapter_class(find_adapter(model)))
            known |= {f"--{option.replace('_', '-')}" for option in own}
        elif opened_by(model)[0]:  # of files and folders that are not here
            family = _OF_FILES.get(opened_by(model)[0]) or family_named(model)
            known |= {f"--{name.replace('_', '-')}" for name in adapter_options(family)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        if name not in ("convert", "fetch"):  # whose options may be the family's own
            assert given <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_tables_measures_what_it_is_asked_for() -> None:
    run = subprocess.run(
        ["make", "--dry-run", "--always-make", "tables", "MODELS=toy hit", "N=2000"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "for m in toy hit; do" in run.stdout
    assert "$run -n 500 -n 1000 -n 1500 --metric fd" in run.stdout
    for model in ("toy", "hit"):
        assert f"throughput --model {model} --res 32" in run.stdout
    assert "table bundled -n 2000" in run.stdout
    assert "hit-table1" in run.stdout
    assert "report --records" in run.stdout
