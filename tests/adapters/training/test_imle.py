"""Coverage by matched samples: who is matched with whom, the cost, both GANs' use, resuming."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from tiny_recipes import (
    BIGGAN_RECIPE,
    Begin,
    begin_biggan,
    begin_hit,
    refusal,
    run_in_two_processes,
)
from training_runs import silent_run

from genbench.models.noise import NoiseStream
from genbench_adapters.training.imle import ImleCost, Matches, distance
from genbench_adapters.training.synthetic_images import synthetic_images

EVERY, PER_STEP, POOLED = 4, 3, 6


def test_distance_is_the_logarithm_of_the_mean_difference() -> None:
    apart = distance(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25))
    assert float(apart) == pytest.approx(-math.log(4), abs=1e-4)
    met = torch.ones(4, 8, requires_grad=True)
    distance(met, torch.ones(4, 8)).backward()
    assert met.grad is not None
    assert bool(met.grad.isfinite().all())


def sampled(noise: NoiseStream) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    latents = noise.normal((2,))
    return latents, latents.mean(1).view(-1, 1, 1, 1).expand(-1, 3, 32, 32), noise.labels(3)


def brightness(images: torch.Tensor) -> torch.Tensor:
    return images.mean(dim=(1, 2, 3), keepdim=True)


def begin_matches(
    folder: Path, *, batch: int = PER_STEP, drawn: int = 1, conditional: bool = False
) -> Matches:
    run = silent_run(folder / "recipe.toml", folder)
    data = synthetic_images(run, 32, 3)
    cost = ImleCost(imle=1.0, imle_batch=batch, imle_every=EVERY, imle_drawn=drawn)
    return Matches(cost, run, data, batch=POOLED, latent=2, conditional=conditional)


@pytest.mark.parametrize("conditional", [True, False])
def test_real_images_are_matched_with_the_nearest_sample_of_their_class(
    tmp_path: Path, conditional: bool
) -> None:
    matches = begin_matches(tmp_path, conditional=conditional)
    pool: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def kept(noise: NoiseStream) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pool.append(sampled(noise))
        return pool[-1]

    matches.renew(EVERY, kept, brightness)
    drawn, images, classes = (torch.cat(parts) for parts in zip(*pool, strict=True))
    assert len(drawn) == EVERY * POOLED
    assert len(drawn.unique(dim=0)) == EVERY * POOLED
    for step in range(EVERY, 2 * EVERY):
        latents, real, labels = matches.of(step)
        assert real.shape == (PER_STEP, 3, 32, 32)
        for latent, picture, label in zip(latents, real, labels, strict=True):
            far = (brightness(images) - brightness(picture[None])).abs().flatten()
            if conditional:
                far[classes != label] = torch.inf
            assert torch.equal(latent, drawn[far.argmin()])
    matches.renew(EVERY + 1, kept, brightness)  # not due
    assert len(pool) == EVERY


def test_of_the_images_drawn_the_farthest_are_matched(tmp_path: Path) -> None:
    def alike(noise: NoiseStream) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        latents, images, labels = sampled(noise)
        return latents, torch.zeros_like(images), labels

    def bright(batch: int, drawn: int) -> torch.Tensor:
        matches = begin_matches(tmp_path, batch=batch, drawn=drawn)
        matches.renew(0, alike, brightness)
        _, images, labels = matches.of(1)
        assert len(images) == len(labels) == batch
        return brightness(images).abs().flatten().sort(descending=True).values

    every, farthest = bright(3 * PER_STEP, 1), bright(PER_STEP, 3)
    assert torch.equal(farthest, every[:PER_STEP])


@pytest.mark.parametrize("begin", [begin_biggan, begin_hit])
def test_matched_samples_come_nearer(tmp_path: Path, begin: Begin) -> None:
    def last(cost: str) -> float:
        lines = ["generator_rate = 1e-2", "discriminator_rate = 1e-6", "imle_every = 50"]
        training = begin(tmp_path, "\n".join([*lines, f"imle = {cost}", ""]))
        return sum(training.step(number)["far"] for number in range(12))

    assert last("10.0") < last("1e-6") - 0.5


@pytest.mark.parametrize("begin", [begin_biggan, begin_hit])
def test_a_resumed_run_keeps_its_matches(tmp_path: Path, begin: Begin) -> None:
    line = "imle = 1.0\nimle_every = 4\nimle_batch = 2\n"
    first = begin(tmp_path, line)
    first.step(0)
    kept = copy.deepcopy({name: part.state_dict() for name, part in first.parts().items()})
    second = begin(tmp_path, line)
    for name, part in second.parts().items():
        part.load_state_dict(kept[name])
    assert second.step(1) == first.step(1)


def test_two_processes_share_the_matches(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(BIGGAN_RECIPE + "imle = 1.0\nimle_every = 3\nimle_batch = 4\n")
    run_in_two_processes(recipe, tmp_path / "run")
    parts = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["parts"]
    latents = parts["matches"]["latents"]
    assert latents.shape == (3, 4, 4)
    assert bool((latents.abs().sum(dim=2) > 0).all())  # both processes' shares


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("imle = -1.0", "imle -1.0"),
        ("imle_every = 0", "imle_every 0"),
        ("imle_drawn = 0", "imle_drawn 0"),
    ],
)
@pytest.mark.parametrize("family", ["biggan-deep", "hit"])
def test_bad_costs_are_refused(tmp_path: Path, family: str, line: str, expected: str) -> None:
    assert expected in refusal(tmp_path, family, line)
