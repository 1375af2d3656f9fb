"""One optimiser step of ADM's published denoisers and upsamplers, for ADM's Table 7.

The mathematics of `train` and of the official train_util.py and super_res_train.py, in two forms:
"naive" as a straightforward program runs it, "optimised" with what makes it faster.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from genbench.errors import UsageError
from genbench.models.optional import StepSetting, TrainingForm
from genbench_adapters.adm.counting import UPSAMPLER_NAMES
from genbench_adapters.adm.losses import HybridLoss
from genbench_adapters.adm.network import SuperResUNet, UNet
from genbench_adapters.adm.schedule import respaced
from genbench_adapters.adm.train import AdmRecipe, AdmTraining
from genbench_adapters.adm.variants import UPSAMPLERS, VARIANTS
from genbench_adapters.training.data import step_noise
from genbench_adapters.training.optimisation import Ema
from genbench_adapters.training.recipes import read_recipe
from genbench_adapters.training.synthetic_images import synthetic_images

_SMALL = Path(__file__).with_name("fashion-mnist-32.toml")
# The rows of ADM's Table 7: a network, and its batch a GPU in either form.
_TABLE7 = {
    64: {"adm-64": {"naive": 32, "optimised": 96}},
    128: {"adm-128": {"naive": 4, "optimised": 32}},
    256: {
        "adm-256": {"naive": 4, "optimised": 8},
        "adm-64-256": {"naive": 4, "optimised": 12},
    },
    512: {"adm-128-512": {"naive": 2, "optimised": 2}},
}
_PASSES = 3  # the backward pass counts as two forward passes
_FORMS = {
    "naive": "channels first, attention by two products, AdamW and moving average by tensor",
    "optimised": "channels last, fused attention, fused AdamW, moving average in one call",
}
_DATA, _NOISE = 0, 1  # purposes of a step's noise


def training_forms(resolution: int) -> list[TrainingForm]:
    """The rows of Table 7 at a resolution in both forms; at 32 the recipe genbench ships."""
    if resolution == read_recipe(_SMALL, AdmRecipe).resolution:
        note = "the denoiser's step of the Fashion-MNIST recipe"
        return [
            TrainingForm(network="adm-guided-32", resolution=resolution, name="recipe", note=note)
        ]
    return [
        TrainingForm(
            network=network, resolution=resolution, name=name, note=note,
            published_batch=batches[name], passes=_PASSES,
        )
        for network, batches in _TABLE7.get(resolution, {}).items()
        for name, note in _FORMS.items()
    ]  # fmt: skip


def training_step(form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
    """The step of a form, ready to be called with its number."""
    if form.name == "recipe":
        return _recipe_step(setting)
    return DenoiserStep(form, setting)


def _recipe_step(setting: StepSetting) -> Callable[[int], object]:
    if setting.dtype == torch.float16:
        raise UsageError("ADM's recipe trains in float32 or bfloat16: choose with --dtype")
    precision: Literal["float32", "bfloat16"]
    precision = "bfloat16" if setting.dtype == torch.bfloat16 else "float32"
    recipe = replace(read_recipe(_SMALL, AdmRecipe), batch=setting.batch, precision=precision)
    data = synthetic_images(setting.run, recipe.resolution, recipe.classes)
    training = AdmTraining(recipe, setting.run, data)
    if setting.compile:
        training.unet.compile()
    return training.step


class DenoiserStep:
    """One published network with its optimiser and moving average; a call is a step.

    float16 runs with loss scaling, as the paper trained; weights and sums stay float32.
    """

    def __init__(self, form: TrainingForm, setting: StepSetting) -> None:
        torch.manual_seed(setting.run.seed)
        self.run, self.batch, self.dtype = setting.run, setting.batch, setting.dtype
        size = UPSAMPLER_NAMES.get(form.network, 0)
        variants = {variant.name: variant for variant in VARIANTS}
        schedule = "linear" if size else variants[form.network].schedule
        config = UPSAMPLERS[size].unet if size else variants[form.network].unet
        self.small = UPSAMPLERS[size].small if size else 0
        self.loss = HybridLoss(respaced(schedule, 1000, ""), setting.run.device)
        fast = form.name == "optimised"
        with torch.device(setting.run.device):
            network = SuperResUNet(config) if size else UNet(config)
        order = torch.channels_last if fast else torch.contiguous_format
        self.network: UNet = network.to(memory_format=order).train()
        self.network.use_fused_attention(fast)
        self.ema = Ema(copy.deepcopy(self.network), 0.9999)
        self.one_call = fast
        self.adam = torch.optim.AdamW(
            self.network.parameters(), lr=1e-4, weight_decay=0.0, fused=fast, foreach=False
        )
        device = setting.run.device.type
        self.scaler = torch.amp.GradScaler(device, enabled=self.dtype == torch.float16)
        self.data = synthetic_images(setting.run, form.resolution, config.num_classes or 0)
        if setting.compile:
            self.network.compile()

    def __call__(self, number: int) -> None:
        """Step `number`: noise, forward, backward, AdamW, moving average."""
        noise = step_noise(self.run, number, self.batch, purpose=_NOISE)
        images, labels = self.data.batch(step_noise(self.run, number, self.batch, purpose=_DATA))
        index = noise.integers(self.loss.steps)  # [N]
        drawn = noise.normal(images.shape[1:])  # [N, 3, R, R]
        noisy = self.loss.noised(images, index, drawn)
        with torch.autocast(self.run.device.type, self.dtype, enabled=self._half()):
            out = self._predicted(noisy, index, labels, images)  # [N, 6, R, R]
        simple, bound = self.loss(out.float(), images, noisy, drawn, index)
        self.adam.zero_grad(set_to_none=True)
        self.scaler.scale(simple + bound).backward()
        self.scaler.step(self.adam)
        self.scaler.update()
        self._average(number)

    def _half(self) -> bool:
        return self.dtype != torch.float32

    def _predicted(self, noisy: Tensor, index: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        chosen = labels if self.network.config.num_classes is not None else None
        if not self.small:
            return self.network(noisy, index, chosen)
        low_res = functional.interpolate(images, self.small, mode="area")  # [N, 3, small, small]
        return self.network(noisy, index, chosen, low_res)

    @torch.no_grad()
    def _average(self, number: int) -> None:
        if not self.one_call:
            self.ema.update(self.network, number)
            return
        means: list[Tensor] = list(self.ema.averaged.parameters())
        values: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(means, values, 1 - self.ema.decay)
