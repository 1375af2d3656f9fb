"""What an adapter's samples depend on: its own sources and those it imports, and no others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genbench.models.code_digest import file_digest, source_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "fam"
    for name in ("", "one", "two"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "__init__.py").write_text("")
    (root / "one" / "adapter.py").write_text("from fam.shared import x\nfrom .near import y\n")
    (root / "one" / "near.py").write_text("y = 1\n")
    (root / "shared.py").write_text("def f():\n    import fam.two.deep\nx = 1\n")
    (root / "two" / "deep.py").write_text("import os\n")
    (root / "two" / "other.py").write_text("z = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    for name in [name for name in sys.modules if name.split(".")[0] == "fam"]:
        del sys.modules[name]


@pytest.mark.parametrize("changed", ["one/adapter.py", "one/near.py", "shared.py", "two/deep.py"])
def test_changed_sources_change_the_digest(package: Path, changed: str) -> None:
    before = source_digest("fam.one.adapter")
    path = package / changed
    path.write_text(path.read_text() + "# more\n")
    assert source_digest("fam.one.adapter") != before


@pytest.mark.parametrize("changed", ["__init__.py", "two/__init__.py"])
def test_packages_around_count_where_they_are_asked_for(package: Path, changed: str) -> None:
    before = [source_digest("fam.one.adapter", around=around) for around in (False, True)]
    (package / changed).write_text("a = 1\n")
    assert source_digest("fam.one.adapter") == before[0]
    assert source_digest("fam.one.adapter", around=True) != before[1]


def test_sources_nobody_imports_do_not(package: Path) -> None:
    before = source_digest("fam.one.adapter")
    (package / "two" / "other.py").write_text("z = 2\n")
    assert source_digest("fam.one.adapter") == before


def test_a_module_without_a_package_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lonely.py").write_text("import json\n")
    (tmp_path / "beside.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    before = source_digest("lonely")
    (tmp_path / "beside.py").write_text("a = 2\n")
    assert source_digest("lonely") == before
    (tmp_path / "lonely.py").write_text("import json, os\n")
    assert source_digest("lonely") != before
    (tmp_path / "lonely.py").write_text("import beside\n")
    before = source_digest("lonely")
    (tmp_path / "beside.py").write_text("a = 3\n")
    assert source_digest("lonely") != before


def test_what_lies_beside_an_installed_module_is_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "installed.py").write_text("import neighbour\n")
    (folder / "neighbour.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(folder)
    before = source_digest("installed")
    (folder / "neighbour.py").write_text("a = 2\n")
    assert source_digest("installed") == before


def test_a_byte_order_mark_and_the_packages_around_an_import_are_read(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("SIDE = 1\n")
    (tmp_path / "pkg" / "mod.py").write_text("g = 1\n")
    (tmp_path / "gen.py").write_bytes(b"\xef\xbb\xbffrom pkg.mod import g\n")
    before = file_digest(tmp_path / "gen.py")
    (tmp_path / "pkg" / "__init__.py").write_text("SIDE = 2\n")
    assert file_digest(tmp_path / "gen.py") != before


def test_one_step_generators_depend_on_the_network_they_came_from() -> None:
    import genbench_adapters.adm.network
    from genbench.models.code_digest import _imported

    network = Path(genbench_adapters.adm.network.__file__)
    root = network.parents[2]
    files = _imported(
        root / "genbench_adapters" / "emd" / "denoisers.py", "genbench_adapters", root, False
    )
    assert network in set(files)
