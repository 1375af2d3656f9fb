"""HiT's encoder: its costs in closed form, a run that resumes, reconstruction that gets better."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from strangers import genbench
from tiny_recipes import begun_hit, hit_words, refusal
from training_runs import holds_weights_of

from genbench_adapters.hit.discriminator import Discriminator
from genbench_adapters.hit.encoder import Encoder, distance, divergence

KEYS = ("reconstruction = 16.0", "encoded_batch = 4")


def test_the_divergence_of_normal_latents() -> None:
    assert float(divergence(torch.zeros(3, 4), torch.zeros(3, 4))) == 0
    mean, spread = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, math.log(0.25)]])
    exact = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (spread / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum()
    assert float(divergence(mean, spread)) == pytest.approx(float(exact))


def test_in_the_distance_all_levels_have_the_same_say_whatever_their_scale() -> None:
    one, other = [torch.rand(3, 5), torch.rand(2)], [torch.rand(3, 5), torch.rand(2)]
    apart = distance(one, other)
    means = [float((here - there).abs().mean()) for here, there in zip(one, other, strict=True)]
    assert float(apart) == pytest.approx(sum(map(math.log, means)) / 2, abs=1e-4)
    larger = distance([7 * one[0], one[1]], [7 * other[0], other[1]])
    assert float(larger - apart) == pytest.approx(math.log(7) / 2, abs=1e-4)


def test_the_discriminator_shows_its_features_after_each_block() -> None:
    discriminator = Discriminator((8, 12, 16, 20))
    images = torch.rand(2, 3, 32, 32)
    levels = discriminator.levels(images)
    assert [tuple(level.shape[1:]) for level in levels] == [(12, 16, 16), (16, 8, 8), (20, 4, 4)]
    assert torch.equal(levels[1], discriminator.blocks[1](levels[0]))
    assert torch.equal(discriminator.judged(levels[-1]), discriminator(images))


def test_latents_never_have_variances_out_of_reach() -> None:
    encoder = Encoder((8, 8, 8, 8), 4)
    torch.nn.init.constant_(encoder.told.bias, 100.0)
    _, spread = encoder(torch.zeros(2, 3, 32, 32))
    assert spread.shape == (2, 4)
    assert float(spread.detach().max()) == 4.0


def test_the_autoencoder_comes_nearer_to_real_images(tmp_path: Path) -> None:
    training = begun_hit(tmp_path, *KEYS, "autoencoder_steps = 40", "generator_rate = 3e-3")
    judge = {key: value.clone() for key, value in training.discriminator.state_dict().items()}
    apart = [training.step(number)["reconstruction"] for number in range(40)]
    assert sum(apart[-5:]) / 5 < sum(apart[:5]) / 5 - 0.3
    assert all(
        torch.equal(judge[key], now) for key, now in training.discriminator.state_dict().items()
    )
    assert "discriminator" in training.step(40)


def test_costs_reach_the_encoder_and_the_generator(tmp_path: Path) -> None:
    training = begun_hit(tmp_path, *KEYS)
    assert training.encoder is not None
    before = {key: value.clone() for key, value in training.learning.state_dict().items()}
    training.step(0)
    moved = [
        key for key, value in training.learning.named_parameters()
        if not torch.equal(before[key], value)
    ]  # fmt: skip
    assert {key.split(".")[0] for key in moved} == {"encoder", "generator"}
    assert all(parameter.requires_grad for parameter in training.discriminator.parameters())


def test_a_run_resumes_and_another_begins_with_its_encoder(tmp_path: Path) -> None:
    def trained(out: str, *more: str) -> None:
        call = hit_words(tmp_path, out)
        with (tmp_path / "recipe.toml").open("a") as recipe:
            recipe.write("\n".join((*KEYS, "autoencoder_steps = 1")))
        run = genbench(*call, *more)
        assert run.returncode == 0, run.stderr

    trained("whole")
    trained("halves", "--steps", "2")
    trained("halves")
    for name in ("model", "encoder"):
        once, twice = (
            load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "halves")
        )
        assert all(torch.equal(once[key], twice[key]) for key in once)
    training = begun_hit(tmp_path, *KEYS, 'initial = "whole"')
    assert training.encoder is not None
    assert holds_weights_of(tmp_path / "whole", {"encoder": training.encoder})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reconstruction = -1.0", "reconstruction -1.0"),
        ("encoded_batch = 0", "encoded_batch 0"),
        ("autoencoder_steps = 2", "need an encoder"),
        ("reconstruction = 1.0\nimle = 1.0", "give one of them a cost"),
    ],
)
def test_bad_costs_are_refused(tmp_path: Path, line: str, expected: str) -> None:
    assert expected in refusal(tmp_path, "hit", line)
