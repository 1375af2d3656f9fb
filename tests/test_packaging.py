"""The wheel and the sdist: complete, working from another folder, and nobody else's names taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(backend_call: str, out: Path) -> Path:
    code = f"import hatchling.build as b; print(b.{backend_call}({str(out)!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return out / run.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_takes_no_common_names(wheel: Path) -> None:
    """`adapters` is AdapterHub's, `tables` is PyTables', `tests` is everybody's."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {
        "genbench",
        "genbench_adapters",
    }


def test_the_wheel_carries_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    data = ("protocols.toml", "published.csv", "notes.csv", "bundled.toml", "gpus.toml")
    for name in (*data, "audits.toml"):
        assert f"genbench/_tables/{name}" in names
    assert "genbench/py.typed" in names
    assert "genbench/tables/page.css" in names
    for part in ("report", "parts", "measured", "comparisons", "tables", "provenance"):
        assert f"genbench/report/templates/{part}.html" in names
    for name in ("index.html", "rows.html", "site.js", "site.css"):
        assert f"genbench/site/templates/{name}" in names
    for name in ("fashion-mnist-32.toml", "weights/model.safetensors", "weights/config.json"):
        assert f"genbench_adapters/biggan_deep/{name}" in names
    for family in ("adm", "hit", "emd"):
        for name in ("fashion-mnist-32.toml", "weights/model.safetensors"):
            assert f"genbench_adapters/{family}/{name}" in names
    bundled = [name for name in names if name.startswith("genbench/data/")]
    assert any(name.endswith(".npz") for name in bundled)
    assert any("LICENSE" in name.upper() for name in bundled)


def test_the_sdist_builds_the_same_wheel(tmp_path: Path, wheel: Path) -> None:
    with tarfile.open(build("build_sdist", tmp_path)) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    source = next((tmp_path / "source").iterdir())
    assert (source / "Makefile").exists()
    code = "import hatchling.build as b; print(b.build_wheel('..'))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(source.parent / run.stdout.split()[-1]) as again:
        rebuilt = {info.filename: info.CRC for info in again.infolist()}
    with zipfile.ZipFile(wheel) as first:
        assert rebuilt == {info.filename: info.CRC for info in first.infolist()}


def test_an_installed_wheel_works_from_another_folder(site: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(site), "GENBENCH_CACHE": str(tmp_path)}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run("-c", "import genbench; print(genbench.__file__)").startswith(str(site))
    models = [json.loads(line) for line in run("-m", "genbench", "ls", "--json").splitlines()]
    assert [row["model"] for row in models].count("toy") == 1
    words = ("--ref", "bundled[:60]", "--protocol", "bundled", "-n", "60", "--metric", "fd")
    records = ("--records", str(tmp_path / "records.jsonl"))
    line = run("-m", "genbench", "fid", "--model", "toy", *words, *records, "--json")
    assert json.loads(line)["metric"] == "fd"


def test_the_lock_pins_everything_and_names_no_index() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in line for line in pins)
    assert not any("://" in line or line.startswith("-") for line in pins)
    names = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    assert {"torch", "torchvision", "torch-fidelity", "typer", "pytest", "ruff", "mypy"} <= names
