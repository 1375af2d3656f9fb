"""ADM's training: the losses in closed form, a recipe run to a model that samples, bad recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from strangers import error_line, genbench
from training_runs import left_by_a_follower, silent_run

from genbench.models.noise import NoiseStream
from genbench_adapters.adm.losses import HybridLoss, discretised_log_likelihood
from genbench_adapters.adm.schedule import respaced
from genbench_adapters.adm.train import AdmRecipe, AdmTraining, train
from genbench_adapters.training.recipes import read_recipe
from genbench_adapters.training.synthetic_images import synthetic_images

RECIPE = """
resolution = 32
classes = 10
num_channels = 32
channel_mult = [1, 1]
num_res_blocks = 1
attention_resolutions = [16]
num_head_channels = 32
batch = 4
steps = 3
classifier_steps = 2
classifier_width = 32
classifier_depth = 1
classifier_mult = [1, 1]
save_every = 1
preview_every = 100
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adm")
    (folder / "recipe.toml").write_text(RECIPE)
    run = genbench(*words(folder / "recipe.toml", folder / "run"))
    assert run.returncode == 0, run.stderr
    return folder / "run"


def words(recipe: Path, out: Path) -> tuple[str | Path, ...]:
    return ("train", "adm-guided", "--config", recipe, "--data", "bundled[:100]", "--out", out)


def training(folder: Path, further: str) -> AdmTraining:
    """RECIPE with further keys, at work on synthetic images."""
    (folder / "recipe.toml").write_text(RECIPE + further)
    run = silent_run(folder / "recipe.toml", folder)
    return AdmTraining(read_recipe(run.config, AdmRecipe), run, synthetic_images(run, 32, 10))


def test_the_leading_process_alone_writes(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    assert left_by_a_follower(train, tmp_path / "recipe.toml", tmp_path / "run") == []


def test_the_bound_is_zero_for_the_true_posterior() -> None:
    loss = HybridLoss(respaced("linear", 1000, ""), torch.device("cpu"))
    noise = NoiseStream(0, torch.arange(4)).normal((3, 8, 8))
    start = NoiseStream(1, torch.arange(4)).uniform((3, 8, 8)) * 2 - 1
    index = torch.tensor([1, 100, 500, 999])
    noisy = loss.noised(start, index, noise)
    exact = torch.cat([noise, torch.full_like(noise, -1.0)], dim=1)  # the least variance
    simple, bound = loss(exact, start, noisy, noise, index)
    assert float(simple) == 0
    assert abs(float(bound)) < 1e-4
    wrong = torch.cat([noise, torch.full_like(noise, 1.0)], dim=1)
    assert loss(wrong, start, noisy, noise, index)[1] > 1e-3


def test_the_same_prediction_has_the_same_bound_as_noise_and_as_image() -> None:
    schedule = respaced("cosine", 1000, "")
    start = NoiseStream(1, torch.arange(3)).uniform((3, 4, 4)) * 2 - 1
    noise = NoiseStream(2, torch.arange(3)).normal((3, 4, 4))
    index = torch.tensor([5, 300, 800])
    device = torch.device("cpu")
    as_noise = HybridLoss(schedule, device)
    as_image = HybridLoss(schedule, device, predict_xstart=True)
    noisy = as_noise.noised(start, index, noise)
    off = noise + 0.01
    product = torch.from_numpy(schedule.alphas_cumprod).float()[index][:, None, None, None]
    image = (noisy - (1 - product).sqrt() * off) / product.sqrt()
    spread = torch.zeros_like(start)
    _, bound = as_noise(torch.cat([off, spread], dim=1), start, noisy, noise, index)
    simple, same = as_image(torch.cat([image, spread], dim=1), start, noisy, noise, index)
    assert float(same) == pytest.approx(float(bound), rel=1e-3)
    assert float(simple) == pytest.approx(float(((image - start) ** 2).mean()))


@pytest.mark.parametrize("index", [5, 300, 800])  # ratios above, between and below the limits
def test_limits_of_the_ratio_weigh_the_same_error_alike_as_noise_and_as_image(index: int) -> None:
    schedule = respaced("cosine", 1000, "")
    product = float(schedule.alphas_cumprod[index])
    ratio = product / (1 - product)
    start = NoiseStream(1, torch.arange(3)).uniform((3, 4, 4)) * 2 - 1
    noise = NoiseStream(2, torch.arange(3)).normal((3, 4, 4))
    at = torch.full((3,), index)

    def simple(predict_xstart: bool) -> float:
        loss = HybridLoss(
            schedule, torch.device("cpu"), predict_xstart=predict_xstart, snr_limits=(1.0, 10.0)
        )
        # An error of 0.01 in x_0 is one of -0.01 sqrt(ratio) in the noise.
        found = start + 0.01 if predict_xstart else noise - 0.01 * ratio**0.5
        out = torch.cat([found, torch.zeros_like(start)], dim=1)
        return float(loss(out, start, loss.noised(start, at, noise), noise, at)[0])

    expected = min(max(ratio, 1.0), 10.0) * 0.01**2
    assert simple(predict_xstart=True) == pytest.approx(expected, rel=1e-4)
    assert simple(predict_xstart=False) == pytest.approx(expected, rel=1e-3)


def test_the_bound_trains_the_variance_alone() -> None:
    loss = HybridLoss(respaced("cosine", 1000, ""), torch.device("cpu"))
    start, noise = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    index = torch.tensor([0, 300])
    out = torch.zeros(2, 6, 4, 4, requires_grad=True)
    _, bound = loss(out, start, loss.noised(start, index, noise), noise, index)
    (gradient,) = torch.autograd.grad(bound, out)
    assert gradient[:, :3].abs().max() == 0
    assert gradient[:, 3:].abs().min() > 0


def test_the_likelihoods_of_all_grey_levels_add_up_to_one() -> None:
    levels = torch.arange(256) / 127.5 - 1
    for mean, deviation in ((0.1, 0.05), (-0.99, 0.02), (0.7, 0.6)):
        mass = discretised_log_likelihood(
            levels, torch.tensor(mean), torch.tensor(deviation).log()
        ).exp()
        assert float(mass.sum()) == pytest.approx(1, abs=1e-4)


def test_a_trained_run_is_a_guided_model(trained: Path, tmp_path: Path) -> None:
    def images(*further: str | Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        out = tmp_path / "x.npz"
        run = genbench(
            "sample", "--model", "adm-guided", "--res", "32", "--checkpoint", trained, "-n", "2",
            "--out", out, "--cache", tmp_path, "--steps", "4", *further,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        with np.load(out, allow_pickle=False) as file:
            drawn: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = file["arr_0"]
        return drawn

    guided = images()
    assert guided.shape == (2, 32, 32, 3)
    assert not np.array_equal(guided, images("--classifier-scale", "0"))
    assert not np.array_equal(guided, images("--sampler", "ddpm"))


def test_the_same_recipe_and_seed_give_the_same_weights(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    out = tmp_path / "again"
    assert genbench(*words(tmp_path / "recipe.toml", out)).returncode == 0
    once, twice = load_file(trained / "model.safetensors"), load_file(out / "model.safetensors")
    assert all(torch.equal(once[key], twice[key]) for key in once)


@pytest.mark.parametrize("decay", [0.0, 0.75])
def test_the_classifiers_average_begins_with_its_first_step(decay: float, tmp_path: Path) -> None:
    run = training(tmp_path, f"classifier_ema = {decay}\n")
    seen = []
    for number in (run.recipe.steps, run.recipe.steps + 1):  # the classifier's two
        run.step(number)
        seen.append(run.classifier.state_dict()["out.0.weight"].clone())
    mean = run.classifier_ema.averaged.state_dict()["out.0.weight"]
    assert not torch.equal(*seen)
    torch.testing.assert_close(mean, decay * seen[0] + (1 - decay) * seen[1])


def test_refining_steps_have_their_own_rate_and_weights(tmp_path: Path) -> None:
    def step(further: str) -> tuple[float, float]:
        run = training(tmp_path, "predict_xstart = true\n" + further)
        error = run.step(2)["mse"]
        return error, run.unet_adam.param_groups[0]["lr"]

    late = "refined_rate = 1e-5\nrefined_snr_limits = [4.0, 4.0]\n"
    plain = step("")
    assert step("refined_from = 3\n" + late) == plain
    error, rate = step("refined_from = 2\n" + late)
    assert error == pytest.approx(4 * plain[0], rel=1e-5)
    assert (rate, plain[1]) == (1e-5, 1e-4)


def test_a_bundle_that_lacks_a_tensor_or_its_configuration(trained: Path, tmp_path: Path) -> None:
    state = load_file(trained / "model.safetensors")
    del state["classifier/out.0.weight"]
    save_file(state, tmp_path / "model.safetensors")
    sample = ("sample", "--model", "adm-guided", "--res", "32", "-n", "1")
    call = (*sample, "--checkpoint", tmp_path, "--out", tmp_path / "x.npz")
    assert "no config.json beside" in error_line(genbench(*call))
    (tmp_path / "config.json").write_text("{}")
    assert "is not the configuration of a guided ADM" in error_line(genbench(*call))
    (tmp_path / "config.json").write_bytes((trained / "config.json").read_bytes())
    assert "1 missing (out.0.weight)" in error_line(genbench(*call))


def test_bad_recipes(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace("num_channels = 32", "num_channels = 40"))
    line = error_line(genbench(*words(recipe, tmp_path / "run")))
    assert "multiples of 32, not [40, 40]" in line
    recipe.write_text(RECIPE)
    line = error_line(genbench(*words(recipe, tmp_path / "run"), "--steps", "3"))
    assert "set their steps in the recipe file" in line
    for name in ("snr_limits", "refined_snr_limits"):
        recipe.write_text(RECIPE + f"{name} = [5.0, 1.0]\n")
        line = error_line(genbench(*words(recipe, tmp_path / "run")))
        assert f"{name} [5.0, 1.0] must be two numbers, 0 < least <= most" in line
