"""EDM's sampler against closed forms, its generators, and their options."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from edm_files import ADM_LIKE, DDPMPP, arguments_of, small_network
from safetensors.torch import save_file
from strangers import error_line, genbench
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench_adapters.emd.denoisers import EdmDenoiser
from genbench_adapters.emd.diffusion import EDMGenerator
from genbench_adapters.emd.one_step import OneStepGenerator
from genbench_adapters.emd.sampler import EDMSampling, heun, sigma_steps
from genbench_adapters.model_files import write_model

DEVIATION = 0.5  # of the Gaussian data below


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """The best denoiser of data N(0, DEVIATION^2)."""
    return x * DEVIATION**2 / (DEVIATION**2 + sigma**2)


def last(sampling: EDMSampling, count: int = 4) -> Tensor:
    stream = NoiseStream(0, torch.arange(count))
    *_, (x, _, _) = heun(gaussian, sampling, lambda step: stream.normal((2, 3), step=step))
    return x


def exact(count: int = 4, sigma_max: float = 80.0) -> Tensor:
    """dx/dsigma = (x - D) / sigma scales x by sqrt(s^2 + sigma^2): the end of that path."""
    start = NoiseStream(0, torch.arange(count)).normal((2, 3)).double() * sigma_max
    return start * DEVIATION / math.hypot(DEVIATION, sigma_max)


def test_heun_is_of_second_order() -> None:
    errors = [
        float((last(EDMSampling(steps=steps)) - exact()).abs().max()) for steps in (20, 40, 80)
    ]
    assert errors[2] < 3e-3
    for coarse, fine in pairwise(errors):
        assert 3.2 < coarse / fine < 5.5  # Euler's method alone would give 2


def test_noise_levels_are_equation_5() -> None:
    levels = sigma_steps(EDMSampling(steps=18)).tolist()
    assert (levels[0], levels[-1]) == pytest.approx((80.0, 0.002))
    ends = 80 ** (1 / 7), 0.002 ** (1 / 7)
    assert levels[5] == pytest.approx((ends[0] + 5 / 17 * (ends[1] - ends[0])) ** 7)
    assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize("steps", [2, 3, 18])
def test_a_step_is_two_evaluations_but_the_last_is_one(steps: int) -> None:
    stream = NoiseStream(0, torch.arange(1))
    drawn: list[int] = []

    def noise(step: int) -> Tensor:
        drawn.append(step)
        return stream.normal((1,), step=step)

    levels = sigma_steps(EDMSampling(steps=steps)).tolist()
    seen = [sigma for _, sigma, _ in heun(gaussian, EDMSampling(steps=steps), noise)]
    assert len(seen) == 2 * steps - 1
    assert seen == [levels[0], *[level for level in levels[1:] for _ in range(2)]]
    assert drawn == [0]  # nothing is drawn where nothing churns


def test_churn_keeps_the_moments_and_only_works_between_its_bounds() -> None:
    sampling = EDMSampling(steps=64, s_churn=20.0, s_min=0.05, s_max=50.0)
    x = last(sampling, 3000)
    assert float(x.std()) == pytest.approx(DEVIATION, rel=0.03)
    assert abs(float(x.mean())) < 0.02
    calm = last(EDMSampling(steps=64), 3000)
    assert float((x * calm).mean()) < 0.9 * DEVIATION**2  # fresh noise took the place of the old
    assert torch.equal(last(EDMSampling(steps=64, s_churn=20.0, s_min=90.0), 3000), calm)


def test_churn_raises_a_level_by_at_most_the_square_root_of_two() -> None:
    sampling = EDMSampling(steps=4, s_churn=1e9, s_max=50.0)
    levels = sigma_steps(sampling).tolist()
    stream = NoiseStream(0, torch.arange(1))
    drawn: list[int] = []

    def noise(step: int) -> Tensor:
        drawn.append(step)
        return stream.normal((1,), step=step)

    seen = [sigma for _, sigma, _ in heun(gaussian, sampling, noise)]
    raised = [levels[0], *(level * math.sqrt(2) for level in levels[1:])]
    assert seen[::2] == pytest.approx(raised)
    assert drawn == [0, 2, 3, 4]  # draw k + 1 is step k's; the first step is above s_max


def generators() -> list[EDMGenerator | OneStepGenerator]:
    network = small_network()
    churned = EDMSampling(steps=3, s_churn=2.0)
    return [
        EDMGenerator(network, EDMSampling(steps=3), torch.float32),
        EDMGenerator(network, churned, torch.float32),
        OneStepGenerator(EdmDenoiser(network), 32, 2.5, "nearest", torch.float32),
    ]


def draw(made: EDMGenerator | OneStepGenerator, indices: list[int], seed: int = 5) -> Tensor:
    chosen = torch.tensor(indices)
    with torch.inference_mode():
        return made.sample(chosen % 10, NoiseStream(seed, chosen))


@pytest.mark.parametrize("number", range(3))
def test_a_sample_depends_on_seed_and_index_alone(number: int) -> None:
    made = generators()[number]
    together, alone = draw(made, [0, 1, 2, 3]), draw(made, [2])
    assert together.shape == (4, 3, 32, 32)
    assert (together[2].int() - alone[0].int()).abs().max() <= 1
    assert torch.equal(draw(made, [2]), alone)
    assert not torch.equal(draw(made, [2], seed=6), alone)
    assert not torch.equal(together[0], together[1])


def test_churn_changes_the_images() -> None:
    calm, churned, _ = generators()
    assert not torch.equal(draw(calm, [1]), draw(churned, [1]))


def test_evaluations_are_counted() -> None:
    for made, count in zip(generators(), (5, 5, 1), strict=True):
        assert made.evaluations == 0
        draw(made, [0, 1])
        draw(made, [2])
        assert made.evaluations == count


@pytest.mark.parametrize(
    ("sigma", "rounding"), [(2.5, "nearest"), (80.0, "truncate")], ids=["SiD", "DMD2"]
)
def test_one_step_is_the_denoiser_at_one_level(tmp_path: Path, sigma: float, rounding: str) -> None:
    network = small_network()
    config = arguments_of(ADM_LIKE)
    weights = tmp_path / "one.safetensors"
    write_model(weights, network.state_dict(), config, kind="converted")
    images = sampled(
        tmp_path, "emd", weights, "--sigma", str(sigma), "--rounding", rounding, "--labels", "3,7"
    )
    z = NoiseStream(0, torch.arange(2)).normal((3, 32, 32))
    with torch.inference_mode():
        expected = network(z * sigma, torch.tensor([sigma]), torch.eye(10)[[3, 7]])
    pixels = to_uint8(expected, rounding="nearest" if rounding == "nearest" else "truncate")
    assert abs(images - pixels.permute(0, 2, 3, 1).int().numpy()).max() <= 1


def test_edm_samples_from_the_command_line(tmp_path: Path) -> None:
    network = small_network()
    weights = tmp_path / "edm.safetensors"
    write_model(weights, network.state_dict(), arguments_of(ADM_LIKE), kind="converted")
    images = sampled(tmp_path, "edm", weights, "--steps", "3", "--labels", "5")
    made = EDMGenerator(network, EDMSampling(steps=3), torch.float32)
    with torch.inference_mode():
        expected = made.sample(torch.tensor([5, 5]), NoiseStream(0, torch.arange(2)))
    assert abs(images - expected.permute(0, 2, 3, 1).int().numpy()).max() <= 1


def test_the_contract_holds_for_an_unconditional_network(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    config = replace(DDPMPP, img_resolution=32)
    (folder / "config.json").write_text(json.dumps(arguments_of(config)))
    save_file(small_network(config).state_dict(), folder / "model.safetensors")
    run = genbench(
        "check", "emd", "--variant", "emd-32-uncond", "--checkpoint", folder, "--sigma", "2.5"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "✗" not in run.stdout


def sampled(
    folder: Path, model: str, weights: Path, *words: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    out = folder / "x.npz"
    run = genbench(
        "sample", "--model", model, "--res", "32", "--checkpoint", weights, "-n", "2",
        "--out", out, "--cache", folder / "cache", *words,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with np.load(out, allow_pickle=False) as file:
        images: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = file["arr_0"].astype(np.int64)
    return images


@pytest.mark.parametrize(
    ("model", "words", "expected"),
    [
        ("edm", ("--steps", "1"), "steps 1 is fewer than 2"),
        ("edm", ("--s-churn", "-1"), "s-churn -1.0 is not 0 or more"),
        ("edm", ("--s-noise", "nan"), "s-noise nan is not 0 or more"),
        ("edm", ("--s-min", "2", "--s-max", "1"), "s-min 2.0 is not below s-max 1.0"),
        ("edm", ("--sigma", "80"), "there is no option --sigma"),
        ("emd", (), "does not tell the noise level of its one step: pass --sigma"),
        ("emd", ("--sigma", "0"), "pass --sigma"),
        ("emd", ("--sigma", "-2"), "sigma -2.0 is not a noise level"),
        ("emd", ("--sigma", "inf"), "sigma inf is not a noise level"),
        ("emd", ("--sigma", "80", "--parameterisation", "vp"), "must be one of edm, consistency"),
        ("emd", ("--sigma", "80", "--rounding", "up"), "must be one of truncate, nearest"),
        ("emd", ("--sigma", "80", "--labels", "10"), "10"),
        ("emd", ("--sigma", "80", "--variant", "emd-64"), "not of 64 and 1000: choose its variant"),
        ("emd", ("--sigma", "80", "--variant", "emd-32-uncond"), "not of 32 and 0"),
        ("emd", ("--sigma", "80", "--res", "128"), "has no variant at resolution 128"),
    ],
)
def test_bad_options(tmp_path: Path, model: str, words: tuple[str, ...], expected: str) -> None:
    weights = tmp_path / "model.safetensors"
    write_model(weights, small_network().state_dict(), arguments_of(ADM_LIKE), kind="converted")
    size = () if "--res" in words or "--variant" in words else ("--res", "32")
    run = genbench(
        "sample", "--model", model, "-n", "1", "--checkpoint", weights,
        "--out", tmp_path / "x.npz", *size, *words,
    )  # fmt: skip
    assert expected in error_line(run)
    assert not (tmp_path / "x.npz").exists()


def test_weights_nobody_publishes_are_said() -> None:
    line = error_line(
        genbench("fid", "--model", "emd", "--res", "64", "--ref", "bundled", "--sigma", "80")
    )
    assert "no EMD checkpoint is public" in line
    assert "--sigma" in line
    line = error_line(genbench("fid", "--model", "edm", "--ref", "bundled"))
    assert "genbench convert edm PICKLE" in line
