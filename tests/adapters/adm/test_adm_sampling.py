"""ADM's schedules and samplers: closed forms, properties, options and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from adm_files import CLASSIFIER, UNET, filled
from strangers import error_line, genbench
from torch import Tensor

from genbench.errors import UsageError
from genbench.models.noise import NoiseStream
from genbench_adapters.adm.generator import AdmGenerator
from genbench_adapters.adm.network import Classifier, SuperResUNet, UNet
from genbench_adapters.adm.sampler import Sampling, Tables, classifier_guide, one_step, trajectory
from genbench_adapters.adm.schedule import betas_of, kept_steps, respaced


@pytest.mark.parametrize(
    ("spacing", "first", "last", "count"),
    [("", 0, 999, 1000), ("250", 0, 999, 250), ("ddim25", 0, 960, 25), ("ddim50", 0, 980, 50),
     ("10,15,20", 0, 999, 45), ("2", 0, 999, 2)],
)  # fmt: skip
def test_respacing(spacing: str, first: int, last: int, count: int) -> None:
    kept = kept_steps(spacing, 1000)
    assert (kept[0], kept[-1], len(kept)) == (first, last, count)
    assert kept == sorted(set(kept))


@pytest.mark.parametrize(
    "spacing", ["1001", "0", "-5", "many", "ddim", "ddimx", "ddim300", "600,9"]
)
def test_respacings_without_a_solution(spacing: str) -> None:
    with pytest.raises(UsageError):
        kept_steps(spacing, 1000)


def test_one_step_is_too_few() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        respaced("linear", 1000, "1")


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_respacing_keeps_the_noise_of_the_kept_steps(schedule: str) -> None:
    whole = np.cumprod(1 - betas_of(schedule, 1000))
    spaced = respaced(schedule, 1000, "ddim25")
    kept = list(spaced.timestep_map)
    np.testing.assert_allclose(spaced.alphas_cumprod, whole[kept], rtol=1e-12)


@pytest.mark.parametrize("predict_xstart", [False, True])
@pytest.mark.parametrize("kind", ["ddpm", "ddim"])
def test_an_exact_denoiser_of_a_gaussian_keeps_its_moments(kind: str, predict_xstart: bool) -> None:
    """For data N(m, s^2) the best denoiser is linear, and sampling with it must give m and s."""
    mean, deviation = 0.3, 0.5
    schedule = respaced("linear", 1000, "1000" if kind == "ddpm" else "ddim250")
    products = torch.from_numpy(np.cumprod(1 - betas_of("linear", 1000))).float()

    def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
        product = products[timesteps][:, None, None, None]
        variance = product * deviation**2 + 1 - product
        start = mean + product.sqrt() * deviation**2 / variance * (x - product.sqrt() * mean)
        return start if predict_xstart else (x - product.sqrt() * start) / (1 - product).sqrt()

    noise = NoiseStream(0, torch.arange(2000))
    sampling = Sampling(
        schedule=schedule,
        kind="ddpm" if kind == "ddpm" else "ddim",
        clip=False,
        predict_xstart=predict_xstart,
    )
    draws = trajectory(denoise, sampling, lambda step: noise.normal((1, 2, 2), step=step))
    *_, (x, _) = draws
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.std()) == pytest.approx(deviation, abs=0.02)


def test_a_step_hands_its_networks_timesteps_laid_out_as_a_single_call_does() -> None:
    """torch.compile makes a program for each layout, and is warmed by single calls."""
    seen: list[Tensor] = []

    def denoise(x: Tensor, timesteps: Tensor) -> Tensor:
        seen.append(timesteps)
        return x

    tables = Tables(Sampling(schedule=respaced("linear", 1000, "4")), torch.device("cpu"))
    one_step(denoise, tables, None, torch.ones(5, 3, 2, 2), tables.number(2), None)
    assert seen[0].shape == (5,)
    assert seen[0].stride() == torch.zeros(5, dtype=torch.int64).stride()


def test_the_guide_is_the_gradient_of_the_log_probability() -> None:
    classifier = filled(Classifier(CLASSIFIER))
    x = NoiseStream(2, torch.arange(1)).normal((3, 16, 16))
    label, timestep = torch.tensor([4]), torch.tensor([300])

    def log_probability(at: Tensor) -> float:
        return float(torch.log_softmax(classifier(at, timestep), dim=-1)[0, 4])

    with torch.inference_mode():
        gradient = classifier_guide(classifier, label, 2.0)(x, timestep)
    direction = gradient / gradient.norm()
    step = 0.05
    slope = (log_probability(x + step * direction) - log_probability(x - step * direction)) / step
    assert slope == pytest.approx(float(gradient.norm()), rel=0.02)  # 2 / 2: scale over both sides


def generator(scale: float = 3.0, kind: str = "ddim", steps: int = 4) -> AdmGenerator:
    spacing = f"ddim{steps}" if kind == "ddim" else str(steps)
    sampling = Sampling(
        schedule=respaced("linear", 1000, spacing), kind="ddim" if kind == "ddim" else "ddpm"
    )
    guidance = (filled(Classifier(CLASSIFIER)), scale) if scale else None
    return AdmGenerator(filled(UNet(UNET)), sampling, 16, guidance)


def draw(made: AdmGenerator, indices: list[int]) -> Tensor:
    stream = NoiseStream(5, torch.tensor(indices))
    with torch.inference_mode():
        return made.sample(torch.tensor(indices) % 10, stream)


@pytest.mark.parametrize("kind", ["ddpm", "ddim"])
def test_a_sample_does_not_depend_on_its_batch(kind: str) -> None:
    made = generator(kind=kind)
    together, alone = draw(made, [0, 1, 2, 3]), draw(made, [2])
    assert together.shape == (4, 3, 16, 16)
    assert (together[2].int() - alone[0].int()).abs().max() <= 1


def test_guidance_and_evaluations() -> None:
    guided, free = generator(3.0), generator(0.0)
    assert not torch.equal(draw(guided, [0, 1]), draw(free, [0, 1]))
    assert guided.evaluations == free.evaluations == 4
    assert (guided.guide_evaluations, free.guide_evaluations) == (4, 0)


def test_the_upsampler_follows_in_one_stream() -> None:
    made = generator(0.0)
    upsampler = filled(SuperResUNet(replace(UNET, image_size=32)))
    made.add_upsampler(upsampler, Sampling(schedule=respaced("linear", 1000, "3")), 32)
    images = draw(made, [0, 1, 2])
    assert images.shape == (3, 3, 32, 32)
    assert made.evaluations == 4 + 3
    assert (images[1].int() - draw(made, [1])[0].int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--res", "128", "--sampler", "ddim", "--steps", "300"),
            "no stride over 1000 steps takes 300",
        ),
        (("--res", "128", "--steps", "1001"), "ask for 1 to 1000"),
        (("--res", "128", "--steps", "5", "--respacing", "ddim25"), "give one"),
        (("--res", "128"), "pass --classifier PATH, or sample without guidance"),
        (("--res", "128", "--classifier", "nowhere.pt"), "--classifier nowhere.pt is not a file"),
        (("--res", "128", "--classifier-scale", "-1"), "classifier scale -1.0 is not 0 or more"),
        (("--variant", "adm-lsun-cat", "--classifier-scale", "1"), "has no classifier"),
        (("--variant", "adm-lsun-cat", "--labels", "3"), "this model is unconditional"),
        (("--res", "128", "--upsample"), "--upsample makes 256 and 512 pixels, not 128"),
        (("--res", "256", "--upsample"), "--upsample needs 64_256_upsampler.pt, published at"),
        (("--res", "128", "--sampler", "euler"), "must be one of variant, ddpm, ddim"),
        (("--res", "128", "--classifier-scale", "0"), "the weights do not fit adm-128"),
    ],
)
def test_bad_options(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    weights = tmp_path / "model.pt"
    torch.save({"input_blocks.0.0.weight": torch.zeros(1)}, weights)
    run = genbench(
        "sample", "--model", "adm-guided", "-n", "1", "--checkpoint", weights,
        "--out", tmp_path / "x.npz", *words,
    )  # fmt: skip
    assert expected in error_line(run)


def test_published_weights_are_named() -> None:
    line = error_line(genbench("fid", "--model", "adm-guided", "--res", "64", "--ref", "bundled"))
    assert "64x64_diffusion.pt of adm-64, published at https://openaipublic" in line
    assert line.endswith("run genbench fetch adm-64 inception")
