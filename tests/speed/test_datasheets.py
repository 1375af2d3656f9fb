"""Datasheet facts: looked up by the user's name and the driver's, each cell with its source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from strangers import error_line, genbench

from genbench.errors import GenbenchError
from genbench.speed.datasheets import find_gpu, known_gpus, recognised


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("Tesla V100-SXM2-16GB", "v100-sxm2"),
        ("Tesla V100-PCIE-32GB", "v100-pcie"),
        ("Tesla V100S-PCIE-32GB", "v100s-pcie"),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm-40"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm5"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
    ],
)
def test_the_drivers_names_are_recognised(reported: str, name: str) -> None:
    found = recognised(reported)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "reported", ["NVIDIA L40S", "NVIDIA L40", "NVIDIA H200 NVL", "NVIDIA GeForce RTX 4090 D"]
)
def test_other_devices_are_not(reported: str) -> None:
    assert recognised(reported) is None


def test_every_name_the_driver_reports_means_one_gpu() -> None:
    for gpu in known_gpus().values():
        for part in gpu.match:
            assert recognised(part) == gpu, part


def test_peaks_are_dense_and_in_flops() -> None:
    v100, h100 = find_gpu("V100"), find_gpu("h100")
    assert v100.peak("float16") == 125e12
    assert v100.peak("bfloat16") is None  # Volta has none
    assert h100.peak("float16") == 989.4e12  # 1979 is the sparse figure
    assert v100.is_v100
    assert not h100.is_v100


def test_a_broken_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "gpus.toml"
    path.write_text(
        '[x]\ntitle = "X"\ncapability = "1.0"\nmatch = ["X"]\nfloat32 = [1, "sure", ""]\n'
    )
    with pytest.raises(GenbenchError, match=r"lacks x\.bandwidth: add what is missing"):
        known_gpus(path)
    path.write_text(path.read_text() + 'bandwidth = [1, "seen", ""]\n')
    with pytest.raises(GenbenchError, match=r"x\.float32\[1\] sure is not one; did you mean seen"):
        known_gpus(path)
    path.write_text('[x]\nflaot32 = [1, "seen", ""]\n')
    with pytest.raises(GenbenchError, match=r"flaot32.*did you mean float32"):
        known_gpus(path)


def test_ls_gpus_gives_values_and_the_source_of_each() -> None:
    run = genbench("ls", "gpus", "--json")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    values = {row["gpu"]: row for row in rows if "CUDA" in row}
    assert values["v100-sxm2"]["float16 TFLOP/s"] == 125
    assert values["h100-pcie"]["float16 TFLOP/s"] == 756
    assert "float16" in values["h100-pcie"]["unverified"]
    assert values["v100-sxm2"]["unverified"] == []
    sourced = {(row["gpu"], cell) for row in rows if "source" in row for cell in row["cells"]}
    for gpu in known_gpus().values():
        assert {(gpu.name, cell) for cell in gpu.cells()} <= sourced


def test_an_unknown_list_suggests() -> None:
    assert "did you mean gpus?" in error_line(genbench("ls", "gpuss"))
