"""ADM with classifier guidance as genbench runs it: published variants, options, sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import CheckpointSource, ModelCard
from genbench_adapters.adm.bundle import as_variant, read_bundle
from genbench_adapters.adm.cards import CARDS
from genbench_adapters.adm.checkpoint import load_network
from genbench_adapters.adm.generator import AdmGenerator
from genbench_adapters.adm.group_norm import kernel_for
from genbench_adapters.adm.network import Classifier, SuperResUNet, UNet
from genbench_adapters.adm.sampler import Sampling
from genbench_adapters.adm.schedule import Schedule, respaced
from genbench_adapters.adm.variants import PUBLISHED, UPSAMPLERS, VARIANTS, Upsampler, Variant
from genbench_adapters.model_files import given_file
from genbench_adapters.random_weights import random_network
from genbench_adapters.training.offers import TrainsByRecipe

Network = TypeVar("Network", UNet, SuperResUNet, Classifier)

_DDIM_STEPS = 25  # of the paper's fast samples


@dataclass(frozen=True)
class AdmGuided(TrainsByRecipe):
    """ADM (Diffusion Models Beat GANs) with classifier guidance."""

    steps: int = field(default=0, metadata={"help": "steps kept of the 1000; 0: the variant's"})
    sampler: Literal["variant", "ddpm", "ddim"] = field(
        default="variant", metadata={"help": "ancestral or DDIM; ddim alone means 25 steps"}
    )
    respacing: str = field(
        default="", metadata={"help": "official timestep respacing, such as ddim25 or 10,15,20"}
    )
    eta: float = field(default=0.0, metadata={"help": "noise of DDIM, 0 … 1"})
    classifier_scale: float | None = field(
        default=None, metadata={"help": "of the guidance; 0: none; not given: the variant's"}
    )
    classifier: Path | None = field(
        default=None, metadata={"help": "weights of the noisy classifier"}
    )
    upsample: bool = field(
        default=False,
        metadata={"help": "ADM-U at 256 and 512: sample small, then upsample; --checkpoint is "
                  "the small model's"},
    )  # fmt: skip
    upsampler: Path | None = field(default=None, metadata={"help": "weights of the upsampler"})
    clip: bool = field(default=True, metadata={"help": "clip predictions of x_0 to [-1, 1]"})
    attention: Literal["auto", "plain", "fused"] = field(
        default="auto", metadata={"help": "auto: fused on a GPU, plain on a CPU; the classifier's "
                                  "is plain, its gradient the same bits every time"}
    )  # fmt: skip
    norms: Literal["auto", "plain"] = field(
        default="auto", metadata={"help": "auto: in half precision the denoisers' norms with "
                                  "scale, shift and SiLU by one kernel; on a CPU in bfloat16, "
                                  "where a C++ compiler is found"}
    )  # fmt: skip
    graph: bool = field(
        default=False, metadata={"help": "on a GPU: each step recorded and replayed as one graph"}
    )

    recipes: ClassVar[Mapping[str, Path]] = {
        "fashion-mnist-32": Path(__file__).with_name("fashion-mnist-32.toml")
    }
    cards: ClassVar[tuple[ModelCard, ...]] = CARDS

    def __post_init__(self) -> None:
        if self.steps and self.respacing:
            raise ValueError("--steps and --respacing both say which steps to keep: give one")
        if self.steps < 0:
            raise ValueError(f"steps {self.steps} is negative")
        if not 0.0 <= self.eta <= 1.0:
            raise ValueError(f"eta {self.eta} is outside [0, 1]")
        if self.classifier_scale is not None and not 0.0 <= self.classifier_scale < float("inf"):
            raise ValueError(f"classifier scale {self.classifier_scale} is not 0 or more")

    def companions(self, card: ModelCard) -> dict[str, CheckpointSource]:
        """The classifier of a guided variant; with --upsample the upsampler too, and the weights of
        the small model in place of the card's."""
        upsampler = UPSAMPLERS.get(card.resolution) if self.upsample else None
        fitting = [variant for variant in VARIANTS if variant.name == card.name]
        files = {}
        if upsampler is not None:
            small = [variant for variant in VARIANTS if variant.resolution == upsampler.small]
            fitting = small[:1]
            files = {"checkpoint": small[0].file, "upsampler": upsampler.file}
        if fitting and fitting[0].classifier and self._scale(fitting[0]):
            files["classifier"] = fitting[0].classifier_file
        return {
            option: CheckpointSource(filename=name, url=PUBLISHED + name)
            for option, name in files.items()
        }

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> AdmGenerator:
        """The generator of a card with its networks. Raises GenbenchError with the remedy."""
        checkpoint = given_file(card, checkpoint)
        self._check_graph(device)
        upsampler = self._upsampler(card) if self.upsample else None
        if upsampler is not None and self.upsampler is None:
            raise UsageError(
                f"--upsample needs {upsampler.file}, published at {PUBLISHED}{upsampler.file}: "
                f"genbench fetch {card.name} --upsample brings it, or pass --upsampler PATH"
            )
        resolution = card.resolution if upsampler is None else upsampler.small
        variant, own = _variant(card, checkpoint, resolution)
        stages = _Settings(device, dtype, self.attention, self.norms)
        sampling = self.sampling(variant)
        guidance = self._guidance(variant, stages, checkpoint if own else None)
        prefix = "unet/" if own else ""
        loaded = load_network(UNet, variant.unet, checkpoint, variant.name, prefix=prefix)
        unet = stages.ready(loaded)
        generator = AdmGenerator(
            unet, sampling, variant.resolution, guidance, kernels=stages.kernels()
        )
        if upsampler is not None:
            assert self.upsampler is not None
            what = f"the {card.resolution} pixel upsampler"
            large = load_network(SuperResUNet, upsampler.unet, self.upsampler, what)
            generator.add_upsampler(stages.ready(large), self._upsampling(), card.resolution)
        return self._recording(generator)

    def load_random(
        self, card: ModelCard, device: torch.device, dtype: torch.dtype
    ) -> AdmGenerator:
        """The generator of a card with random weights in all its networks."""
        self._check_graph(device)
        upsampler = self._upsampler(card) if self.upsample else None
        variant = _known_variant(card, card.resolution if upsampler is None else upsampler.small)
        stages = _Settings(device, dtype, self.attention, self.norms)

        def ready(build: Callable[[], Network]) -> Network:
            return stages.ready(random_network(build, device))

        scale = self._scale(variant)
        guidance = None
        if scale and variant.classifier is not None:
            guidance = ready(partial(Classifier, variant.classifier)), scale
        unet = ready(partial(UNet, variant.unet))
        generator = AdmGenerator(
            unet, self.sampling(variant), variant.resolution, guidance, kernels=stages.kernels()
        )
        if upsampler is not None:
            large = ready(partial(SuperResUNet, upsampler.unet))
            generator.add_upsampler(large, self._upsampling(), card.resolution)
        return self._recording(generator)

    def _check_graph(self, device: torch.device) -> None:
        """Raise UsageError where steps cannot be recorded."""
        if self.graph and device.type != "cuda":
            raise UsageError("--graph records the steps of a GPU: leave it out on a CPU")

    def _recording(self, generator: AdmGenerator) -> AdmGenerator:
        if self.graph:
            generator.record_steps()
        return generator

    @staticmethod
    def network_forward(network: str) -> Callable[[], object]:
        """One forward pass of a published network on the meta device, to be counted."""
        from genbench_adapters.adm.counting import network_forward

        return network_forward(network)

    def sampling(self, variant: Variant) -> Sampling:
        """The trajectory the options ask for. Raises UsageError for steps that cannot be kept."""
        kind = variant.sampler if self.sampler == "variant" else self.sampler
        usual = variant.steps if kind == variant.sampler else _DDIM_STEPS
        return Sampling(
            schedule=self._respaced(variant.schedule, variant.diffusion_steps, kind, usual),
            kind=kind,
            eta=self.eta,
            clip=self.clip,
            predict_xstart=variant.predict_xstart,
        )

    def _upsampling(self) -> Sampling:
        """super_res_sample.py always samples ancestrally, 250 steps in the paper."""
        return Sampling(schedule=self._respaced("linear", 1000, "ddpm", 250), clip=self.clip)

    def _respaced(self, schedule: str, total: int, kind: str, usual: int) -> Schedule:
        steps = self.steps or usual
        spacing = self.respacing or (f"ddim{steps}" if kind == "ddim" else str(steps))
        return respaced(schedule, total, spacing)

    def _upsampler(self, card: ModelCard) -> Upsampler:
        if card.resolution not in UPSAMPLERS:
            sizes = " and ".join(map(str, UPSAMPLERS))
            raise UsageError(
                f"--upsample makes {sizes} pixels, not {card.resolution}: choose with --res"
            )
        return UPSAMPLERS[card.resolution]

    def _scale(self, variant: Variant) -> float:
        """The guidance's; 0 for none. Raises UsageError when the variant has no classifier."""
        scale = variant.classifier_scale if self.classifier_scale is None else self.classifier_scale
        if scale and variant.classifier is None:
            raise UsageError(f"{variant.name} has no classifier: pass --classifier-scale 0")
        return scale

    def _guidance(
        self, variant: Variant, stages: _Settings, own: Path | None
    ) -> tuple[Classifier, float] | None:
        """The classifier, from `own` when the denoiser's file holds it, and its scale."""
        scale = self._scale(variant)
        if scale == 0.0 or variant.classifier is None:
            return None
        path, prefix = self.classifier or own, "" if self.classifier else "classifier/"
        if path is None:
            raise UsageError(
                f"guidance needs {variant.classifier_file}, published at "
                f"{PUBLISHED}{variant.classifier_file}: genbench fetch {variant.name} brings it, "
                "or pass --classifier PATH, or sample without guidance, --classifier-scale 0"
            )
        what = f"the classifier of {variant.name}"
        loaded = load_network(Classifier, variant.classifier, path, what, prefix=prefix)
        return stages.ready(loaded), scale


def _known_variant(card: ModelCard, resolution: int) -> Variant:
    """What a card is without a file: a published model, else the recipe genbench ships."""
    fitting = [variant for variant in VARIANTS if variant.resolution == resolution]
    named = [variant for variant in fitting if variant.name == card.name]
    if fitting:
        return (named or fitting)[0]
    from genbench_adapters.adm.train import AdmRecipe
    from genbench_adapters.training.recipes import read_recipe

    recipe = read_recipe(Path(__file__).with_name("fashion-mnist-32.toml"), AdmRecipe)
    return as_variant(recipe.model(), card.name)


def _variant(card: ModelCard, checkpoint: Path, resolution: int) -> tuple[Variant, bool]:
    """What a checkpoint is by its card, or by the configuration beside it, and whether by that."""
    model = read_bundle(checkpoint)
    if model is None:
        fitting = [v for v in VARIANTS if v.resolution == resolution]
        named = [v for v in fitting if v.name == card.name]
        if not fitting:
            raise GenbenchError(
                f"there is no config.json beside {checkpoint}, and no published ADM has "
                f"{resolution} pixels: pass the folder that genbench trained"
            )
        return (named or fitting)[0], False
    variant = as_variant(model, card.name)
    if variant.resolution != resolution or model.unet.num_classes != card.classes:
        raise GenbenchError(
            f"{checkpoint} is an ADM of {variant.resolution} pixels and {model.unet.num_classes} "
            f"classes, not of {resolution} and {card.classes}: choose its variant"
        )
    return variant, True


@dataclass(frozen=True)
class _Settings:
    """Where and how the networks compute."""

    device: torch.device
    dtype: torch.dtype
    attention: str
    norms: str

    def kernels(self) -> str:
        """What kernels make, as `optional.UsesKernels` has it."""
        made = self.norms == "auto" and kernel_for(self.device, self.dtype) is not None
        return "group norms" if made else ""

    def ready(self, network: Network) -> Network:
        """The network there, in that dtype."""
        network = network.to(self.device).to(memory_format=torch.channels_last)
        network.convolutions_to(self.dtype)
        fused = self.attention == "fused"
        if self.attention == "auto":
            fused = self.device.type == "cuda"
        # The fused kernels of a GPU add up a gradient in whatever order they finish; products do
        # not. Denoisers give no gradient.
        network.use_fused_attention(fused and not isinstance(network, Classifier))
        network.use_fused_norms(self.norms == "auto")
        if self.device.type == "cpu":  # measured there alone, by benchmarks/adm.py
            network.phase_upsampling()
        return network
