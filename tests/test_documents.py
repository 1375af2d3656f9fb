"""The code blocks of README.md and docs/ are run: Python as it stands, quick commands as typed."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from strangers import genbench
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from genbench.records.protocols import load_protocols
from genbench.tables.build import build_table
from genbench.tables.published import load_published
from genbench.tables.specs import read_spec

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
# Commands that answer within seconds with nothing but the checkout. The options of all others are
# checked by test_readme.py.
QUICK = ("ls", "doctor", "schema", "audit", "table", "--help", "--version")
SET_ASIDE = {"plain", "small-gan", "--check"}  # models not installed here; a check finds faults


def run_commands(example: Example) -> None:
    """Run the quick commands of a block as a user types them; each must succeed."""
    for line in str(example.parsed).replace("\\\n", " ").splitlines():
        words = shlex.split(line.split(" #")[0])
        if words[:1] == ["genbench"] and words[1:2] and words[1] in QUICK:
            if SET_ASIDE & set(words):
                continue
            run = genbench(*words[1:])
            assert run.returncode == 0, f"{line}: {run.stderr}"
            assert run.stdout or "--out" in words, line


def read_toml(example: Example) -> None:
    """A TOML block must be TOML, and one of columns a table spec that shows something."""
    text = str(example.parsed)
    if "column" not in tomllib.loads(text):
        return
    Path("example.toml").write_text(text)
    spec = read_spec(Path("example.toml"))
    built = build_table(spec, load_published(), [], load_protocols())
    assert len(built.rows) == len(spec.rows)
    assert all(cell.published or cell.command for row in built.rows for cell in row.cells)


DOCUMENTS = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser("bash", run_commands),
        CodeBlockParser("toml", read_toml),
    ],
    setup=lambda namespace: namespace.update(__name__="__page__"),
)


def examples(page: Path) -> Iterable[Any]:
    return DOCUMENTS.parse(page).examples()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_blocks_run(
    page: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    cache = tmp_path_factory.getbasetemp() / "documents"  # one for all pages
    monkeypatch.setenv("GENBENCH_CACHE", str(cache))
    monkeypatch.setenv("GENBENCH_RECORDS", str(tmp_path / "default.jsonl"))
    shutil.copy(ROOT / "docs" / "bundled-records.jsonl", tmp_path / "default.jsonl")
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_every_block_is_of_a_kind_that_is_run() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(\S*)$.*?^```$", page.read_text(), re.M | re.S)
        assert set(fences) <= {"bash", "python", "toml"}, page
        assert len(list(examples(page))) == len(fences), page


def run_page(page: Path) -> None:
    for example in examples(page):
        example.evaluate()


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("```python\n1 / 0\n```\n", ZeroDivisionError),
        ("```bash\ngenbench ls nothing-like-it\n```\n", AssertionError),
        ("```toml\n[\n```\n", tomllib.TOMLDecodeError),
    ],
)
def test_a_block_that_fails_is_seen(tmp_path: Path, block: str, error: type[Exception]) -> None:
    (tmp_path / "page.md").write_text(block)
    with pytest.raises(error):
        run_page(tmp_path / "page.md")
