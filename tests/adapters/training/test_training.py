"""Training: resumed after a kill as if nothing had happened, shared by processes, then measured."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from biggan_files import small_network
from numpy.typing import NDArray
from safetensors.torch import load_file
from strangers import error_line, genbench
from tiny_recipes import BIGGAN_RECIPE, begun_biggan, biggan_words, run_in_two_processes
from training_runs import holds_weights_of, left_by_a_follower

from genbench.models.noise import NoiseStream
from genbench_adapters.biggan_deep.discriminator import Discriminator
from genbench_adapters.biggan_deep.latents import truncated_normal
from genbench_adapters.biggan_deep.standing_statistics import fill_statistics
from genbench_adapters.biggan_deep.train import train
from genbench_adapters.training.minibatch_deviation import deviation


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(BIGGAN_RECIPE)
    return path


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def test_a_run_that_went_further_is_not_taken_for_a_shorter_one(
    recipe: Path, tmp_path: Path
) -> None:
    assert genbench(*biggan_words(recipe, tmp_path / "run"), "--steps", "3").returncode == 0
    shorter = genbench(*biggan_words(recipe, tmp_path / "run"), "--steps", "2")
    assert "holds a run of 3 steps already" in error_line(shorter)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(recipe: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert genbench(*biggan_words(recipe, whole)).returncode == 0
    command = [sys.executable, "-m", "genbench", *map(str, biggan_words(recipe, broken))]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (broken / "state.pt").exists():  # written first after step 2 of 6
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    resumed = genbench(*biggan_words(recipe, broken))
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming" in resumed.stderr
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(broken)[key]), key
    assert (broken / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    assert (whole / "preview-0000006.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_saves_the_step_that_was_done(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genbench_adapters.biggan_deep.train import BigGANTraining

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert genbench(*biggan_words(recipe, whole)).returncode == 0
    step = BigGANTraining.step

    def interrupted(self: BigGANTraining, number: int) -> object:
        if number == 4:
            signal.raise_signal(signal.SIGINT)
        return step(self, number)

    monkeypatch.setattr(BigGANTraining, "step", interrupted)
    stopped = genbench(*biggan_words(recipe, broken))
    assert stopped.returncode == 130
    monkeypatch.undo()
    resumed = genbench(*biggan_words(recipe, broken))
    assert "at step 5 of 6" in resumed.stderr
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(broken)[key]), key


def test_two_processes_share_a_batch(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    run_in_two_processes(recipe, out)
    assert all(value.isfinite().all() for value in weights(out).values())


def test_the_leading_process_alone_writes(recipe: Path, tmp_path: Path) -> None:
    assert left_by_a_follower(train, recipe, tmp_path / "run") == []


def sampled(weights: Path, folder: Path) -> NDArray[np.uint8]:
    """Four samples of trained weights, uint8 [4, 32, 32, 3]."""
    run = genbench(
        "sample", "--model", "biggan-deep", "--res", "32", "--checkpoint", weights, "-n", "4",
        "--out", folder / "x.npz", "--cache", folder,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with np.load(folder / "x.npz", allow_pickle=False) as file:
        images: NDArray[np.uint8] = file["arr_0"]
    return images


def test_trained_weights_are_a_model(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert genbench(*biggan_words(recipe, out), "--steps", "2").returncode == 0
    assert sampled(out, tmp_path).std() > 1


def test_a_foreign_state_is_not_gone_on_with(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    torch.save({"weights": torch.zeros(2)}, tmp_path / "run" / "state.pt")
    line = error_line(genbench(*biggan_words(recipe, tmp_path / "run")))
    assert "is not the state of a training run" in line


def test_other_settings_do_not_go_on_with_a_run(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert genbench(*biggan_words(recipe, out), "--steps", "2").returncode == 0
    other = genbench(*biggan_words(recipe, out), "--steps", "4", "--seed", "1")
    assert "holds a run with other settings" in error_line(other)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("batch", "bacth"), "there is no key bacth; did you mean batch?"),
        (("batch = 8", ""), "lacks batch: add what is missing"),
        (("[[1, 2, 2], ", "["), "the layers make 16 pixels, not output_dim 32"),
        (("= 8", "= "), "is not valid TOML"),
        (
            ("batch = 8", "batch = 8\ndiscriminator_reduction = 9"),
            "discriminator_reduction 9 is above the least width",
        ),
        (
            ("batch = 8", "batch = 8\nbeta_1 = 1.0"),
            "beta_1 1.0 cannot be: give 0 or more and less than 1",
        ),
        (("batch = 8", "batch = 8\ndrop_at = 4\ndrop = 0"), "drop 0 cannot be: give more than 0"),
        (("batch = 8", "batch = 8\ntraining_truncation = 1.5"), "give more than 0 and at most 1"),
        (("batches = 1", "batches = 0"), "statistics_batches 0 cannot be: give 1 or"),
        (("statistics_batch = 4", "statistics_batch = 0"), "statistics_batch 0 cannot be: give 1"),
    ],
)
def test_bad_recipes(recipe: Path, tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    recipe.write_text(BIGGAN_RECIPE.replace(*change))
    assert expected in error_line(genbench(*biggan_words(recipe, tmp_path / "run")))


def test_a_model_without_a_recipe_and_images_without_labels(recipe: Path, tmp_path: Path) -> None:
    run = genbench("train", "toy", "--config", recipe, "--out", tmp_path / "run")
    assert "toy brings no training recipe" in error_line(run)
    for command in (("train", "net.py:make"), ("convert", "net.onnx", "in.pt")):
        told = error_line(genbench(*command, "--out", tmp_path / "out"))
        assert f"{command[1]} is a model to draw from and to measure: " in told
    np.savez(tmp_path / "bare.npz", np.zeros((20, 32, 32, 3), np.uint8))
    words_ = ("train", "biggan-deep", "--config", recipe, "--out", tmp_path / "run")
    assert "has no labels" in error_line(genbench(*words_, "--data", tmp_path / "bare.npz"))


def test_the_discriminators_blocks_are_as_narrow_as_asked() -> None:
    def inner_widths(**reduction: int) -> set[int]:
        tensors = Discriminator((16, 16, 16), 10, **reduction).state_dict()
        return {len(tensors[name]) for name in tensors if name.endswith("conv_1.weight_orig")}

    assert inner_widths() == {4}
    assert inner_widths(reduction=2) == {8}
    assert inner_widths(reduction=0) == {16}


def test_a_discriminator_of_plain_blocks_sees_a_batch_without_variety() -> None:
    torch.manual_seed(0)
    network = Discriminator((8, 8, 8, 8), 10, reduction=0).eval()
    one, labels = torch.randn(1, 3, 32, 32), torch.zeros(4, dtype=torch.int64)
    same = network(one.expand(4, -1, -1, -1), labels)
    varied = network(torch.cat([one, torch.randn(3, 3, 32, 32)]), labels)
    assert float((same[0] - varied[0]).abs().detach()) > 1e-6


def test_every_part_of_a_batch_has_its_own_deviation() -> None:
    wide, narrow = torch.randn(8, 4, 2, 2), 0.1 * torch.randn(8, 4, 2, 2)
    both = deviation(torch.cat([wide, narrow]), parts=2)
    assert both.shape == (16, 1, 2, 2)
    for part, alone in zip(both.chunk(2), (wide, narrow), strict=True):
        expected = alone.std(dim=0, correction=0).mean()
        torch.testing.assert_close(part, expected.expand_as(part))


def test_the_latents_of_training_are_those_of_sampling_when_asked(
    recipe: Path, tmp_path: Path
) -> None:
    def largest(line: str) -> float:
        training = begun_biggan(recipe, tmp_path, "batch = 64\n" + line)
        seen: list[torch.Tensor] = []
        training.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        training.step(0)
        return max(float(latents.abs().max()) for latents in seen)

    assert largest("truncated = true") <= 2 < largest("")
    narrow = "truncated = true\ntraining_truncation = 0.25"
    assert largest(narrow) <= 0.5
    assert 0.5 < largest(f"{narrow}\nimle = 1.0\nimle_every = 2") <= 2  # as they are sampled


def test_a_grey_recipe_makes_a_grey_model(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(
        BIGGAN_RECIPE + "grey = true\ntruncated = true\ndiscriminator_reduction = 0\n"
    )
    out = tmp_path / "run"
    assert genbench(*biggan_words(recipe, out), "--steps", "2").returncode == 0
    images = sampled(out, tmp_path)
    assert images.std() > 1
    assert (images == images[..., :1]).all()


def test_training_begins_with_both_networks_of_a_finished_run(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert genbench(*biggan_words(recipe, out), "--steps", "2").returncode == 0
    training = begun_biggan(recipe, tmp_path, 'initial = "run"')
    assert holds_weights_of(
        out, {"model": training.generator, "discriminator": training.discriminator}
    )
    assert holds_weights_of(out, {"model": training.ema.averaged})
    (out / "discriminator.safetensors").unlink()
    recipe.write_text(BIGGAN_RECIPE + 'initial = "run"\n')
    line = error_line(genbench(*biggan_words(recipe, tmp_path / "next")))
    assert "discriminator.safetensors is not a file" in line


def test_both_rates_drop_at_the_recipes_step(recipe: Path, tmp_path: Path) -> None:
    training = begun_biggan(recipe, tmp_path, "generator_rate = 1e-3\ndrop_at = 1\ndrop = 0.5\n")
    rates = []
    for number in range(3):
        training.step(number)
        adams = (training.generator_adam, training.discriminator_adam)
        rates.append([group["lr"] for adam in adams for group in adam.param_groups])
    assert rates == [[1e-3, 2e-4], [5e-4, 1e-4], [5e-4, 1e-4]]


def test_standing_statistics_are_those_of_the_generated_batches() -> None:
    network = small_network()
    fill_statistics(network, batches=1, batch=32, seed=5)
    noise = NoiseStream(5, torch.arange(32))
    labels, unit = noise.labels(10), truncated_normal(noise, 6)
    for truncation in (0.4, 1.0):
        with torch.inference_mode():
            standing = network.eval()(truncation * unit, labels, truncation)
            for norm in network.norms():
                norm.training = True  # not its children: spectral norm must not iterate
            own = network(truncation * unit, labels, truncation)
        torch.testing.assert_close(standing, own, rtol=0, atol=1e-3)
