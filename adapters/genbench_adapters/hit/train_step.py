"""One optimiser step of HiT's recipes on synthetic images, for training throughput."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from genbench.core import UsageError
from genbench.speed_contract import StepSetting, TrainingForm
from genbench_adapters.hit.network import OFFICIAL
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.hit.train import HiTTraining
from genbench_adapters.recipe_files import read_recipe
from genbench_adapters.synthetic import synthetic_images

_SMALL = Path(__file__).with_name("fashion-mnist-32.toml")
# StyleGAN2's widths (arXiv:1912.04958) at the official channel multiplier of ImageNet, 1.
_WIDTHS = {128: [128, 256, 512, 512, 512, 512]}


def training_forms(resolution: int) -> list[TrainingForm]:
    """The paper's ImageNet size, and the recipe genbench ships."""
    if resolution not in (read_recipe(_SMALL, HiTRecipe).network().resolution, *_WIDTHS):
        return []
    note = "non-saturating loss with R1, one update of either network, Adam, moving average"
    network = f"hit-{resolution}"
    return [TrainingForm(network=network, resolution=resolution, name="recipe", note=note)]


def training_step(form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
    """The step of `HiTTraining`, its penalty in every step and nothing to cover the data, as in the
    paper.

    Raises UsageError for float16, and for compiling: torch compiles no second derivatives.
    """
    if setting.dtype == torch.float16:
        raise UsageError("HiT trains in float32 or bfloat16: choose with --dtype")
    if setting.compile:
        raise UsageError("torch.compile has no second derivatives, which R1 needs: HiT's step "
                         "cannot be timed with --compile")  # fmt: skip
    recipe = read_recipe(_SMALL, HiTRecipe)
    if form.resolution in _WIDTHS:
        config = OFFICIAL[form.resolution]
        recipe = HiTRecipe(
            dims=list(config.dims), heads=list(config.heads), layers=list(config.layers),
            patches=[patch or 0 for patch in config.patches], latent=config.latent,
            discriminator_widths=_WIDTHS[form.resolution], steps=1, batch=setting.batch,
        )  # fmt: skip
    half = setting.dtype == torch.bfloat16
    recipe = replace(
        recipe, batch=setting.batch, r1_every=1, precision="bfloat16" if half else "float32",
        imle=0.0, reconstruction=0.0, autoencoder_steps=0,
    )  # fmt: skip
    data = synthetic_images(setting.run, recipe.network().resolution, 0)
    return HiTTraining(recipe, setting.run, data).step
