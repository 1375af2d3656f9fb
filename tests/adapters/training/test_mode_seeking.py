"""The reward for variety: pairs of like latents, the distance of their features, both GANs' use."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny_recipes import Begin, begin_biggan, begin_hit, refusal

from genbench.errors import UsageError
from genbench.models.noise import NoiseStream
from genbench_adapters.training.mode_seeking import paired, sameness


def test_a_pair_shares_half_of_its_numbers_and_no_row_another_distribution() -> None:
    noise = NoiseStream(0, torch.arange(401))
    latents = noise.normal((64,))
    like = paired(latents, noise)
    assert torch.equal(like[:200], latents[:200])
    assert torch.equal(like[400], latents[400])  # the odd one out
    shared = like[200:400] == latents[:200]
    assert torch.equal(like[200:400][~shared], latents[200:400][~shared])
    assert float(shared.float().mean()) == pytest.approx(0.5, abs=0.02)
    assert len(shared.unique(dim=0)) == 200  # drawn for each pair
    assert float(like[200:400].std()) == pytest.approx(1, abs=0.02)


def test_sameness_is_the_logarithm_of_the_distance() -> None:
    features = torch.cat([torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25)])
    assert float(sameness(features)) == pytest.approx(math.log(4), abs=1e-4)
    same = torch.ones(4, 8, requires_grad=True)
    with pytest.raises(UsageError, match="2 or more"):
        sameness(features[:1])
    value = sameness(same)
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())


@pytest.mark.parametrize("compared", ["features", "images"])
@pytest.mark.parametrize("begin", [begin_biggan, begin_hit])
def test_the_reward_makes_samples_vary_more(tmp_path: Path, begin: Begin, compared: str) -> None:
    def last(line: str) -> float:
        line += f'\nvariety_of = "{compared}"'
        training = begin(tmp_path, "generator_rate = 1e-2\ndiscriminator_rate = 1e-6\n" + line)
        told = [training.step(number)["sameness"] for number in range(12)]
        return sum(told[-3:]) / 3

    assert last("variety = 10.0") < last("variety = 1e-6") - 0.1


def test_biggans_pairs_are_of_one_class(tmp_path: Path) -> None:
    training = begin_biggan(tmp_path, "variety = 1.0\n")
    labels: list[torch.Tensor] = []
    training.generator.register_forward_pre_hook(lambda _, inputs: labels.append(inputs[1]))
    training.step(0)
    judge, reward = labels
    assert not torch.equal(judge[:4], judge[4:])
    assert torch.equal(reward[:4], reward[4:])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("variety = -1.0", "variety -1.0 cannot be: give 0 or more"),
        ('variety_of = "image"', "variety_of image is not one; did you mean images?"),
    ],
)
@pytest.mark.parametrize("family", ["biggan-deep", "hit"])
def test_bad_keys_are_refused(tmp_path: Path, family: str, line: str, expected: str) -> None:
    assert expected in refusal(tmp_path, family, line)
