"""HiT's training: a recipe run to a model that samples, augmentations, bad recipes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from strangers import error_line, genbench
from tiny_recipes import HIT_RECIPE, begun_hit, hit_words
from training_runs import holds_weights_of, left_by_a_follower

from genbench.models.noise import NoiseStream
from genbench_adapters.hit.augment import augmented
from genbench_adapters.hit.discriminator import Discriminator, halved
from genbench_adapters.hit.network import OFFICIAL, ToRGB
from genbench_adapters.hit.paper_discriminator import PaperDiscriminator
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.hit.recipes import RECIPES
from genbench_adapters.hit.train import train
from genbench_adapters.training.recipes import read_recipe


def test_a_recipe_makes_a_model_and_resumes_to_the_same(tmp_path: Path) -> None:
    assert genbench(*hit_words(tmp_path, "whole")).returncode == 0
    assert genbench(*hit_words(tmp_path, "halves"), "--steps", "2").returncode == 0
    resumed = genbench(*hit_words(tmp_path, "halves"))
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming" in resumed.stderr
    once, twice = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "halves"))
    assert all(torch.equal(once[key], twice[key]) for key in once)
    run = genbench(
        "sample", "--model", "hit", "--res", "32", "--checkpoint", tmp_path / "whole", "-n", "3",
        "--out", tmp_path / "x.npz", "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert file["arr_0"].shape == (3, 32, 32, 3)


def test_the_leading_process_alone_writes(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(HIT_RECIPE)
    assert left_by_a_follower(train, tmp_path / "recipe.toml", tmp_path / "run") == []


def test_the_penalty_is_told_in_the_steps_that_have_it(tmp_path: Path) -> None:
    training = begun_hit(tmp_path)
    told = [training.step(number).get("r1", 0.0) for number in range(4)]
    assert [value > 0 for value in told] == [False, True, False, True]  # r1_every = 2


def test_training_begins_with_both_networks_of_a_finished_run(tmp_path: Path) -> None:
    assert genbench(*hit_words(tmp_path, "run"), "--steps", "1").returncode == 0
    training = begun_hit(tmp_path, 'initial = "run"')
    networks = {"model": training.generator, "discriminator": training.discriminator}
    assert holds_weights_of(tmp_path / "run", networks)
    assert holds_weights_of(tmp_path / "run", {"model": training.ema.averaged})


def test_the_discriminator_sees_clipped_images_when_asked(tmp_path: Path) -> None:
    def largest(*lines: str) -> float:
        training = begun_hit(tmp_path, *lines)
        for layer in training.generator.to_rgb_layers.values():
            assert isinstance(layer, ToRGB)
            torch.nn.init.constant_(layer.output_layer[1].get_parameter("bias"), 3.0)
        seen: list[torch.Tensor] = []
        training.discriminator.from_rgb.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].detach())
        )
        training.step(0)
        return float(seen[-1].max())  # of the generator's update; the others are real or augmented

    assert largest("clipped = true") <= 1 < largest()


def test_clipped_pixels_learn_to_come_back_but_not_to_go_further(tmp_path: Path) -> None:
    training = begun_hit(tmp_path, "clipped = true")
    training.generator.forward = lambda z: z  # type: ignore[method-assign]
    pixels = torch.tensor([-2.0, -2.0, 2.0, 2.0, 0.5, 0.5], requires_grad=True)
    made = training._made(pixels)
    assert made.tolist() == [-1, -1, 1, 1, 0.5, 0.5]
    made.backward(torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]))  # descent goes against it
    assert pixels.grad is not None
    assert pixels.grad.tolist() == pytest.approx([0, -0.03, 0.03, 0, 1, -1])


def test_new_statistics_are_those_of_the_generated_batches(tmp_path: Path) -> None:
    training = begun_hit(tmp_path, "statistics_batches = 1", "statistics_batch = 32")
    network = training.finished()
    z = NoiseStream(training.run.seed, torch.arange(32)).normal((4,))
    with torch.no_grad():
        sampled, batch = network(z), training.ema.averaged.train()(z)
    assert float((sampled - batch).abs().mean()) < 0.02 * float(batch.std())  # bar N for N - 1
    kept = begun_hit(tmp_path).finished().state_dict()
    assert all(
        torch.equal(kept[key], value)
        for key, value in begun_hit(tmp_path).ema.averaged.state_dict().items()
    )


def test_new_statistics_are_a_mean_over_batches(tmp_path: Path) -> None:
    def tokens(batches: int, batch: int) -> torch.Tensor:
        counts = f"statistics_batches = {batches}", f"statistics_batch = {batch}"
        norm = begun_hit(tmp_path, *counts).finished().embedding_layer[2]
        return norm.get_buffer("moving_mean")

    # Of the first norm: what the later ones see depends on how the images are divided.
    torch.testing.assert_close(tokens(3, 4), tokens(1, 12))


def test_a_widened_generator_makes_the_images_of_wider_latents(tmp_path: Path) -> None:
    judged, widened = (begun_hit(tmp_path, line).finished() for line in ("", "widened = 1.5"))
    z = NoiseStream(0, torch.arange(4)).normal((4,))
    with torch.no_grad():
        torch.testing.assert_close(widened(z), judged(1.5 * z))
        assert not torch.allclose(widened(z), judged(z))


def test_flips_mirror_half_of_the_real_images_whoever_stands_beside_them(tmp_path: Path) -> None:
    plain, flipped = begun_hit(tmp_path), begun_hit(tmp_path, "flips = true")
    noise = NoiseStream(0, torch.arange(200))
    as_they_are, met = plain._real(noise), flipped._real(noise)
    mirrored = (met != as_they_are).flatten(1).any(dim=1)
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(met[mirrored], as_they_are[mirrored].flip(3))
    assert torch.equal(flipped._real(NoiseStream(0, torch.arange(50, 60))), met[50:60])


def test_unlabelled_images_will_do(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", np.zeros((20, 32, 32, 3), np.uint8))
    run = genbench(*hit_words(tmp_path, "run"), "--data", tmp_path / "bare.npz", "--steps", "1")
    assert run.returncode == 0, run.stderr


def test_augmentations_depend_on_their_row_alone() -> None:
    images = NoiseStream(0, torch.arange(6)).uniform((3, 16, 16)) * 2 - 1
    together = augmented(images, NoiseStream(4, torch.arange(6)), step=1)
    alone = augmented(images[2:3], NoiseStream(4, torch.tensor([2])), step=1)
    assert torch.equal(together[2], alone[0])
    assert not torch.equal(together, augmented(images, NoiseStream(4, torch.arange(6)), step=2))
    cut = (together == 0).all(dim=1).flatten(1).float().mean(dim=1)
    assert (cut > 0.05).all()  # at least a quarter of the largest square, whatever its centre


def test_the_batch_without_variety_is_seen() -> None:
    torch.manual_seed(0)
    network = Discriminator((8, 8, 8, 8))
    one = torch.randn(1, 3, 32, 32)
    same = network(one.expand(4, -1, -1, -1))
    varied = network(torch.cat([one, torch.randn(3, 3, 32, 32)]))
    assert same.shape == (4,)
    assert float((same[0] - varied[0]).abs().detach()) > 1e-6


def test_the_discriminator_begins_with_the_variance_of_its_input() -> None:
    torch.manual_seed(0)
    network = Discriminator((32, 32, 32, 32))
    flat = torch.randn(256, 3, 1, 1).expand(-1, -1, 32, 32)  # white noise would be smoothed away
    deviation = float(network(flat).detach().std())
    assert 0.05 < deviation < 2  # PyTorch's own weights: 0.01


def test_halving_is_a_convolution_with_binomial_taps() -> None:
    x = torch.randn(2, 3, 8, 8)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = torch.outer(taps, taps).expand(3, 1, 4, 4)
    expected = torch.nn.functional.conv2d(x, kernel, stride=2, padding=1, groups=3)
    torch.testing.assert_close(halved(x), expected)


def test_the_papers_discriminator_by_hand() -> None:
    torch.manual_seed(0)
    network = PaperDiscriminator((6, 8, 10))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    conv2d = torch.nn.functional.conv2d

    def weights(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        layer = network.get_submodule(name)
        torch.nn.init.normal_(layer.get_parameter("bias"))
        return layer.get_parameter("weight"), layer.get_parameter("bias")

    def rectified(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def blurred(x: torch.Tensor) -> torch.Tensor:
        kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
        return conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])

    images = torch.randn(3, 3, 16, 16)
    x = rectified(conv2d(images, *weights("from_rgb"), padding=1))
    for block in ("blocks.0", "blocks.1"):
        h = rectified(conv2d(x, *weights(f"{block}.conv_0"), padding=1))
        h = rectified(conv2d(blurred(h), *weights(f"{block}.conv_1"), padding=1))
        skip = conv2d(blurred(x), network.get_parameter(f"{block}.skip.weight"))
        x = (h + skip) / math.sqrt(2)
    x = rectified(conv2d(x, *weights("last"), padding=1)).flatten(1)
    dense, score = weights("dense"), weights("score")
    expected = rectified(x @ dense[0].T + dense[1]) @ score[0].T + score[1]
    torch.testing.assert_close(network(images), expected[:, 0])


@pytest.mark.parametrize("size", [128, 256])
def test_the_papers_recipes(size: int) -> None:
    recipe = read_recipe(RECIPES[size], HiTRecipe)
    assert recipe.network() == OFFICIAL[size]
    assert recipe.discriminator == "paper"
    assert recipe.beta_1 == 0
    assert recipe.flips
    assert (recipe.r1, recipe.r1_every, recipe.batch, recipe.ema) == (10, 1, 256, 0.999)
    multiplier = 1 if size == 128 else 2
    assert recipe.discriminator_widths[-5:] == [256 * multiplier, 512, 512, 512, 512]
    assert recipe.consistency == (0 if size == 128 else 10)


def test_a_recipe_with_the_papers_discriminator_learns(tmp_path: Path) -> None:
    training = begun_hit(tmp_path, 'discriminator = "paper"')
    before = {key: value.clone() for key, value in training.discriminator.state_dict().items()}
    training.step(1)
    assert all(
        not torch.equal(before[key], value)
        for key, value in training.discriminator.state_dict().items()
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("[8, 8, 8, 8]", "[8, 8, 8]"), "bring 32 pixels to 8, not 4"),
        (("patches = [4, 4, 0]", "patches = [4, 4, 4]"), "last stage must be without patches"),
        (("heads = [4, 2, 2]", "heads = [4, 2]"), "must be of one length"),
        (("patches = [4, 4, 0]", "patches = [3, 4, 0]"), "stage 0 of HiT cannot have"),
        (
            ("patches = [4, 4, 0]", "patches = [4, 4, 0]\ndrop = 2.0"),
            "drop 2.0 cannot be: give more than 0 and",
        ),
        (("latent", "statistics_batches = -1\nlatent"), "statistics_batches -1 cannot be: give 0"),
        (("latent", "widened = 0.0\nlatent"), "widened 0.0 cannot be: give more than 0"),
        (("latent", "statistics_batch = 0\nlatent"), "statistics_batch 0 cannot be: give 1"),
    ],
)
def test_bad_recipes(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    call = hit_words(tmp_path, "run")
    (tmp_path / "recipe.toml").write_text(HIT_RECIPE.replace(*change))
    assert expected in error_line(genbench(*call))
