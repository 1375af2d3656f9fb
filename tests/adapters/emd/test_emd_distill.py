"""Distillation through the command line: resumed, shared, measured along the way, bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from emd_files import RECIPE, adm_teacher, edm_config, edm_teacher, unet_config
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from strangers import error_line, genbench

from genbench_adapters.adm.network import UNet
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser, copied, one_step
from genbench_adapters.emd.network import EDM


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adm_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def words(recipe: Path, out: Path, teacher: Path) -> tuple[str | Path, ...]:
    return ("distill", "emd", "--config", recipe, "--teacher", teacher, "--out", out)


def test_a_killed_distillation_goes_on_as_if_nothing_had_happened(
    recipe: Path, teacher: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = genbench(*words(recipe, whole, teacher))
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "genbench", *map(str, words(recipe, broken, teacher))]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (broken / "state.pt").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert genbench(*words(recipe, broken, teacher)).returncode == 0
    for key, value in load_file(whole / "model.safetensors").items():
        assert torch.equal(value, load_file(broken / "model.safetensors")[key])
    assert (whole / "log.jsonl").read_text() == (broken / "log.jsonl").read_text()
    assert (whole / "preview-0000004.png").is_file()


def test_the_result_samples_in_one_evaluation_and_knows_its_level(
    recipe: Path, teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert genbench(*words(recipe, out, teacher), "--steps", "1").returncode == 0
    weights = out / "model.safetensors"
    with safe_open(weights, "pt") as file:
        config = json.loads(file.metadata()["genbench.config"])
    assert config["sigma"] == 2.0
    sample = ("sample", "--model", "emd", "--res", "32", "-n", "4", "--checkpoint", weights)
    assert genbench(*sample, "--out", tmp_path / "images.npz").returncode == 0
    wrong = genbench(*sample, "--out", tmp_path / "b.npz", "--sigma", "3")
    assert "was distilled at sigma 2.0" in error_line(wrong)


def test_processes_share_a_batch(recipe: Path, teacher: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    one = ("--steps", "1")
    assert genbench(*words(recipe, alone, teacher), *one).returncode == 0
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"),
        *(sys.executable, "-m", "genbench", *map(str, words(recipe, shared, teacher)), *one),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    for key, value in load_file(alone / "model.safetensors").items():
        other = load_file(shared / "model.safetensors")[key]
        assert torch.allclose(value.float(), other.float(), atol=2e-3), key


def test_a_generator_goes_on_from_another(recipe: Path, teacher: Path, tmp_path: Path) -> None:
    first = genbench(*words(recipe, tmp_path / "one", teacher), "--steps", "1")
    assert first.returncode == 0, first.stderr
    begun = tmp_path / "one" / "model.safetensors"
    text = re.sub(r"^(generator_rate|ema|sigma) = .*\n", "", recipe.read_text(), flags=re.M)
    (level,) = re.findall(r"^sigma = (.*)$", recipe.read_text(), re.M) or ["20.0855"]

    def going_on(initial: str, sigma: str = level) -> subprocess.CompletedProcess[str]:
        """Another step, in which the generator stays what it begins as."""
        path = tmp_path / "on.toml"
        still = "generator_rate = 0.0\nema = 0.0"
        path.write_text(f'{text}\n{still}\nsigma = {sigma}\ninitial = "{initial}"\n')
        return genbench(*words(path, tmp_path / "two", teacher), "--steps", "1")

    assert "there is no generator at" in error_line(going_on("none.safetensors"))
    assert "is not a generator of the teacher" in error_line(going_on("one/state.pt"))
    assert "at noise level 7: correct" in error_line(going_on("one/model.safetensors", "7.0"))
    second = going_on("one/model.safetensors")
    assert second.returncode == 0, second.stderr
    kept, was = load_file(tmp_path / "two" / "model.safetensors"), load_file(begun)
    assert all(torch.equal(kept[name], was[name]) for name in was)


def test_an_edm_teacher_is_distilled(recipe: Path, tmp_path: Path) -> None:
    edm = edm_teacher(tmp_path / "edm.safetensors")
    run = genbench(*words(recipe, tmp_path / "run", edm), "--steps", "2")
    assert run.returncode == 0, run.stderr


def test_the_curve_is_measured_and_resumed(recipe: Path, teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    curve = ("--res", "32", "--fd-every", "1", "--fd-samples", "12", "--steps")
    assert genbench(*words(recipe, out, teacher), *curve, "1").returncode == 0
    first = (out / "curve.jsonl").read_text()
    assert (out / "best.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    # As if the first state had been the better one: it stays.
    low = json.loads(first) | {"fd": 0.0}
    (out / "curve.jsonl").write_text(json.dumps(low) + "\n")
    best = (out / "best.safetensors").read_bytes()
    run = genbench(*words(recipe, out, teacher), *curve, "2")
    assert run.returncode == 0, run.stderr
    assert f"distilled emd: {out / 'best.safetensors'}" in run.stderr
    assert "lowest distance of the curve: step 1" in run.stderr
    assert (out / "best.safetensors").read_bytes() == best
    assert (out / "model.safetensors").read_bytes() != best
    lines = (out / "curve.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == low
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    assert json.loads(lines[1])["fd"] > 0


@pytest.mark.parametrize("kind", ["adm", "edm"])
def test_the_generator_begins_as_the_teacher_at_one_level(kind: str) -> None:
    torch.manual_seed(0)
    teacher: AdmDenoiser | EdmDenoiser
    if kind == "adm":
        teacher = AdmDenoiser(UNet(unet_config()), "cosine", 1000).eval()
    else:
        teacher = EdmDenoiser(EDM(edm_config())).eval()
    labels = torch.tensor([0, 2])
    z = torch.randn(2, 3, teacher.resolution, teacher.resolution)
    sigma = torch.full((2,), 5.0)
    with torch.no_grad():
        begun = one_step(copied(teacher).eval(), 5.0, z, labels)
        assert torch.equal(begun, teacher(5.0 * z, sigma, labels))


def test_adm_levels_are_its_steps_and_find_them_again() -> None:
    torch.manual_seed(0)
    unet = UNet(unet_config())
    teacher = AdmDenoiser(unet, "linear", 1000)
    seen: list[torch.Tensor] = []

    def watched(x: torch.Tensor, index: torch.Tensor, labels: object) -> torch.Tensor:
        seen.append(index)
        return torch.zeros(len(x), 6, 32, 32)

    unet.forward = watched  # type: ignore[assignment, method-assign]
    steps = torch.arange(1000)
    level = teacher.levels((steps + 0.5) / 1000, 1e-6, 1e6)
    teacher(torch.zeros(1000, 3, 32, 32), level, None)
    assert torch.equal(seen[0], steps)


def remade(weights: Path, **changes: object) -> None:
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    config = {**json.loads(metadata["genbench.config"]), **changes}
    save_file(load_file(weights), weights, {**metadata, "genbench.config": json.dumps(config)})


@pytest.fixture(scope="module")
def distilled(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distilled")
    (folder / "recipe.toml").write_text(RECIPE)
    run = genbench(*words(folder / "recipe.toml", folder / "run", teacher), "--steps", "1")
    assert run.returncode == 0, run.stderr
    return folder / "run" / "model.safetensors"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "flow"}, "unknown parameterisation 'flow'; known: adm, edm"),
        ({"sigma": None}, "names no noise level"),
        ({"sigma": -1.0}, "names no noise level"),
        ({"network": None, "kind": "edm"}, "no complete configuration"),
        ({"network": [], "kind": "edm"}, "no complete configuration"),
        ({"noise_schedule": "square"}, "no noise schedule"),
    ],
)
def test_broken_generators_are_one_clear_line(
    distilled: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(distilled.read_bytes())
    remade(path, **changes)
    sample = ("sample", "--model", "emd", "--res", "32", "-n", "2", "--checkpoint", path)
    assert told in error_line(genbench(*sample, "--out", tmp_path / "x.npz"))


def test_what_cannot_be_distilled_is_one_clear_line(
    recipe: Path, teacher: Path, distilled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert "not a diffusion" in error_line(genbench(*words(recipe, out, distilled)))
    missing = genbench("distill", "emd", "--config", recipe, "--teacher", "no/where", "--out", out)
    assert "does not exist" in error_line(missing)
    wide = genbench(*words(recipe, out, teacher), "--res", "64")
    assert "has 32 pixels, not 64" in error_line(wide)
    hit = genbench("distill", "hit", "--config", recipe, "--teacher", teacher, "--out", out)
    assert "is not distilled from another" in error_line(hit)
    recipe.write_text(RECIPE + "noise_rate = 2.0\n")
    assert "Langevin rates" in error_line(genbench(*words(recipe, out, teacher)))
    recipe.write_text(RECIPE + "most_sigma = 0.01\n")
    assert "ascending" in error_line(genbench(*words(recipe, out, teacher)))
