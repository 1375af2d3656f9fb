"""The training recipe of ADM: the denoiser by the hybrid loss, then the classifier of noisy images.

One run trains both, one after the other, so that one folder and one file hold a guided model.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from genbench.errors import UsageError
from genbench.models.noise import NoiseStream
from genbench.models.optional import TrainRun
from genbench.runtime.files import replacing
from genbench_adapters.adm.bundle import GuidedModel
from genbench_adapters.adm.generator import AdmGenerator
from genbench_adapters.adm.losses import HybridLoss
from genbench_adapters.adm.network import Classifier, UNet, UNetConfig
from genbench_adapters.adm.sampler import Sampling
from genbench_adapters.adm.schedule import respaced
from genbench_adapters.training.adam import give_rate
from genbench_adapters.training.data import TrainingImages, step_noise
from genbench_adapters.training.loop import Paced, run_training
from genbench_adapters.training.optimisation import Ema, autocast, descend
from genbench_adapters.training.recipes import Cost, Count, Rate, Share, Whole, read_recipe

_PREVIEW = 100
_PREVIEW_SEED = 1
_DATA, _NOISE = 0, 1  # purposes of a step's noise


@dataclass(frozen=True, kw_only=True)
class AdmRecipe(Paced):
    """The keys of a recipe file, under the official names; resolutions of attention in pixels.

    steps: of the denoiser; classifier_steps come after them. Rates are AdamW's, weight decay
    `weight_decay` for the denoiser and 0.05 for the classifier as in classifier_train.py.
    snr_limits: [least, most], see `HybridLoss`. From step `refined_from` on (0: never) the denoiser
    goes on at `refined_rate` with `refined_snr_limits`: steps of much noise are learnt fast while
    those of little hardly count, and these, which clean a sample, then in less time. ema,
    classifier_ema: decay of the averages of either network's weights; the official classifier is
    not averaged (0), short runs gain by it.
    """

    resolution: Count
    classes: Count
    num_channels: Count
    channel_mult: list[Count]
    num_res_blocks: Whole
    attention_resolutions: list[Count]
    num_head_channels: int
    batch: Count
    classifier_steps: Whole
    classifier_width: Count
    classifier_depth: Whole
    classifier_mult: list[Count]
    resblock_updown: bool = True
    predict_xstart: bool = False
    noise_schedule: Literal["linear", "cosine"] = "cosine"
    diffusion_steps: Count = 1000
    snr_limits: list[float] | None = None
    refined_from: Whole = 0
    refined_rate: Rate = 1e-4
    refined_snr_limits: list[float] | None = None
    dropout: Share = 0.0
    rate: Rate = 1e-4
    classifier_rate: Rate = 3e-4
    classifier_ema: Share = 0.0
    weight_decay: Cost = 0.0
    ema: Share = 0.9999
    precision: Literal["float32", "bfloat16"] = "float32"
    preview_every: Count = 2000

    @property
    def total(self) -> int:
        """Steps of both networks."""
        return self.steps + self.classifier_steps

    def pinned(self) -> Mapping[str, Any]:
        """All keys: where the denoiser ends and the classifier begins is part of the run."""
        return dataclasses.asdict(self)

    def _common(self, mult: list[int]) -> dict[str, Any]:
        factors = tuple(self.resolution // side for side in self.attention_resolutions)
        return {
            "image_size": self.resolution,
            "attention_resolutions": factors,
            "channel_mult": tuple(mult),
            "num_head_channels": self.num_head_channels,
            "use_scale_shift_norm": True,
            "resblock_updown": self.resblock_updown,
        }

    def limits(self, *, refined: bool = False) -> tuple[float, float] | None:
        """The limits of the signal-to-noise ratio as a weight (`HybridLoss`). Raises UsageError."""
        name = "refined_snr_limits" if refined else "snr_limits"
        limits = self.refined_snr_limits if refined else self.snr_limits
        if limits is None:
            return None
        if len(limits) != 2 or not 0 < limits[0] <= limits[1]:
            raise UsageError(f"{name} {limits} must be two numbers, 0 < least <= most")
        return (limits[0], limits[1])

    def refines(self, step: int) -> bool:
        """Whether a step of the denoiser is one of the refining ones."""
        return 0 < self.refined_from <= step

    def model(self) -> GuidedModel:
        """The networks and the diffusion."""
        return GuidedModel(
            noise_schedule=self.noise_schedule,
            diffusion_steps=self.diffusion_steps,
            predict_xstart=self.predict_xstart,
            unet=UNetConfig(
                model_channels=self.num_channels,
                out_channels=6,
                num_res_blocks=self.num_res_blocks,
                num_classes=self.classes,
                dropout=self.dropout,
                **self._common(self.channel_mult),
            ),
            classifier=UNetConfig(
                model_channels=self.classifier_width,
                out_channels=self.classes,
                num_res_blocks=self.classifier_depth,
                **self._common(self.classifier_mult),
            ),
        )


class AdmTraining:
    """The recipe at work: the first `recipe.steps` train the denoiser, the rest the classifier."""

    def __init__(self, recipe: AdmRecipe, run: TrainRun, data: TrainingImages) -> None:
        torch.manual_seed(run.seed)  # initial weights only; every process starts from the same
        self.recipe, self.run, self.data, self.model = recipe, run, data, recipe.model()
        schedule = respaced(recipe.noise_schedule, recipe.diffusion_steps, "")
        self.loss, self.refined_loss = (
            HybridLoss(
                schedule,
                run.device,
                predict_xstart=recipe.predict_xstart,
                snr_limits=recipe.limits(refined=refined),
            )
            for refined in (False, True)
        )
        self.unet = _placed(UNet(self.model.unet), run)
        self.classifier = _placed(Classifier(self.model.classifier), run)
        self.ema = Ema(copy.deepcopy(self.unet), recipe.ema)
        # A decay of 0 keeps a copy; before the classifier's turn there is nothing to average.
        self.classifier_ema = Ema(
            copy.deepcopy(self.classifier), recipe.classifier_ema, recipe.steps + 1
        )
        self.unet_adam = torch.optim.AdamW(
            self.unet.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.classifier_adam = torch.optim.AdamW(
            self.classifier.parameters(), lr=recipe.classifier_rate, weight_decay=0.05
        )

    def parts(self) -> Mapping[str, Any]:
        """What a checkpoint holds."""
        return {
            "unet": self.unet,
            "classifier": self.classifier,
            "ema": self.ema.averaged,
            "classifier_ema": self.classifier_ema.averaged,
            "unet_adam": self.unet_adam,
            "classifier_adam": self.classifier_adam,
        }

    def step(self, number: int) -> Mapping[str, float]:
        """One optimiser step of the network whose turn it is; its losses by name."""
        noise = step_noise(self.run, number, self.recipe.batch, purpose=_NOISE)
        images, labels = self.data.batch(
            step_noise(self.run, number, self.recipe.batch, purpose=_DATA)
        )
        index = noise.integers(self.recipe.diffusion_steps)  # [N]
        drawn = noise.normal(images.shape[1:])  # [N, 3, R, R]
        noisy = self.loss.noised(images, index, drawn)
        if number >= self.recipe.steps:
            return self._classifier_step(number, noisy, index, labels)
        with autocast(self.run, self.recipe.precision):
            out = self.unet(noisy, index, labels)  # [N, 6, R, R]
        refines = self.recipe.refines(number)
        loss = self.refined_loss if refines else self.loss
        simple, bound = loss(out.float(), images, noisy, drawn, index)
        give_rate(self.unet_adam, self.recipe.refined_rate if refines else self.recipe.rate)
        descend(simple + bound, self.unet, self.unet_adam, self.run)
        self.ema.update(self.unet, number)
        return {"mse": float(simple.detach()), "bound": float(bound.detach())}

    def _classifier_step(
        self, number: int, noisy: Tensor, index: Tensor, labels: Tensor
    ) -> Mapping[str, float]:
        with autocast(self.run, self.recipe.precision):
            logits = self.classifier(noisy, index)  # [N, classes]
        loss = functional.cross_entropy(logits.float(), labels)
        descend(loss, self.classifier, self.classifier_adam, self.run)
        self.classifier_ema.update(self.classifier, number)
        right = (logits.argmax(dim=1) == labels).float().mean()
        return {"cross_entropy": float(loss.detach()), "accuracy": float(right)}

    def preview(self) -> Tensor:
        """uint8 [100, 3, R, R], a column a class, by the averaged denoiser without guidance,
        DDIM-20."""
        schedule = respaced(self.recipe.noise_schedule, self.recipe.diffusion_steps, "ddim20")
        sampling = Sampling(
            schedule=schedule, kind="ddim", predict_xstart=self.recipe.predict_xstart
        )
        network = copy.deepcopy(self.ema.averaged).eval()
        noise = NoiseStream(_PREVIEW_SEED, torch.arange(_PREVIEW), self.run.device)
        generator = AdmGenerator(network, sampling, self.recipe.resolution, None)
        with torch.inference_mode():
            return generator.sample(noise.indices % self.recipe.classes, noise).cpu()


Network = TypeVar("Network", bound=nn.Module)


def _placed(network: Network, run: TrainRun) -> Network:
    return network.to(run.device).to(memory_format=torch.channels_last)


def save_weights(training: AdmTraining, path: Path) -> None:
    """Write the weights of both networks (float16), and config.json beside them."""
    networks = {"unet": training.ema.averaged, "classifier": training.classifier_ema.averaged}
    tensors = {
        f"{name}/{key}": value.half().contiguous().cpu()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"genbench.kind": "trained-here"}))
    with replacing(path.with_name("config.json")) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(training.model), indent=2) + "\n")


def train(run: TrainRun) -> Path:
    """Train, or resume, a guided ADM; returns the path of the finished weights."""
    recipe = read_recipe(run.config, AdmRecipe)
    if run.steps:
        raise UsageError("ADM trains two networks in turn: set their steps in the recipe file")
    data = TrainingImages.open(run, recipe.resolution)
    training = AdmTraining(recipe, run, data)
    run_training(training, run, recipe, data=data.images.digest())
    path = run.out / "model.safetensors"
    if run.world.leads:
        save_weights(training, path)
    return path
