"""The family that a pipeline's folder makes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Adapter, Generator, ModelCard
from genbench.models.optional import Opener, Weights
from genbench.runtime.prompts import read_prompts
from genbench.weights.hub_folders import folder_digest, folder_of, pickles_in, read_json
from genbench_adapters.diffusers_pipelines.generator import PipelineGenerator
from genbench_adapters.diffusers_pipelines.library import (
    lacking,
    load_pipeline,
    other_scheduler,
    parameters_of,
    pipeline_class,
)

INDEX = "model_index.json"
_NETWORKS = ("unet", "transformer")  # which denoises
_AUTOENCODERS = ("vae", "vqvae", "movq")


@dataclass(frozen=True)
class Pipeline:
    """A pipeline of diffusers as it was saved, or with other steps, guidance or scheduler."""

    scheduler: str = field(
        default="", metadata={"help": "another scheduler, as DDIMScheduler or ddim; its own"}
    )
    steps: int = field(default=0, metadata={"help": "denoising steps; 0: the pipeline's default"})
    guidance: float | None = field(
        default=None, metadata={"help": "scale of classifier-free guidance; none: the default"}
    )
    prompts: Path | None = field(
        default=None,
        metadata={"help": "of text to image: a file of prompts, one a sample"},
    )
    pickles: bool = field(
        default=False,
        metadata={"help": "also load weights that are pickled, which a hostile file can abuse"},
    )

    argument: ClassVar[str]
    cards: ClassVar[tuple[ModelCard, ...]]

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"--steps {self.steps}: a number of steps, or 0")

    def card_for(self, resolution: int) -> ModelCard:
        """The card of the folder's configurations. Raises UsageError for another resolution, where
        the pipeline does not take any."""
        folder, kind, takes = self._known()
        _, config = _network(folder)
        side = config.get("sample_size")
        if not isinstance(side, int) or side < 1:
            raise GenbenchError(f"{self.argument} draws no square images of one size: {side}")
        own = side * _enlarging(folder)
        if resolution not in (0, own) and "height" not in takes:
            raise UsageError(f"{self.argument} has images of {own} pixels: leave out --res")
        classes = 0
        if "class_labels" in takes:
            classes = config.get("num_class_embeds") or config.get("num_embeds_ada_norm") or 0
            if not isinstance(classes, int) or classes < 0:
                raise GenbenchError(f"{self.argument} has no number of classes: {classes}")
        elif config.get("num_class_embeds") and "prompt" not in takes:
            raise GenbenchError(
                f"{kind.__name__} gives its network no class labels, which {self.argument} needs: "
                "save it with a pipeline that takes class_labels"
            )
        nfe = self.steps or _default(kind, "num_inference_steps", 1)
        return replace(self.cards[0], resolution=resolution or own, classes=classes, nfe=nfe)

    def weights(self) -> Weights:
        """Digest of every configuration and weights file of the folder. Raises GenbenchError for
        pickles that nobody allowed."""
        folder = folder_of(self.argument, weights=True, pickles=self.pickles)
        if not self.pickles and (found := pickles_in(folder)):
            raise GenbenchError(
                f"{found[0]} is pickled and has no safetensors beside it: convert it (diffusers: "
                "save_pretrained with safe_serialization=True), or trust it with --pickles true"
            )
        return Weights(name=self.argument, digest=folder_digest(folder))

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> Generator:
        """The pipeline, its scheduler changed where another is asked for."""
        folder, kind, takes = self._known(weights=True)
        settings = self._settings(kind.__name__, takes)
        if "height" in takes:
            settings |= {"height": card.resolution, "width": card.resolution}
        pipeline = load_pipeline(folder, kind.__name__, device, dtype, pickles=self.pickles)
        if self.scheduler:
            pipeline.scheduler = other_scheduler(pipeline.scheduler, self.scheduler)
        network = getattr(pipeline, _network(folder)[0])
        prompts = read_prompts(self.prompts) if self.prompts else ()
        return PipelineGenerator(pipeline, network, settings, takes, prompts)

    def _known(self, *, weights: bool = False) -> tuple[Path, Any, set[str]]:
        """The folder, the pipeline's class and what its call takes."""
        folder = folder_of(self.argument, weights=weights, pickles=self.pickles)
        if not (folder / INDEX).is_file():
            raise UsageError(f"{folder} holds no {INDEX}: name the folder of a saved pipeline")
        kind = pipeline_class(str(read_json(folder / INDEX).get("_class_name")))
        takes = parameters_of(kind)
        if not {"generator", "output_type"} <= takes or takes & {"image", "video_length"}:
            raise UsageError(f"{kind.__name__} does not draw images from noise: name another model")
        if "prompt" in takes and self.prompts is None:
            raise UsageError(
                f"{self.argument} makes images of texts: pass --prompts FILE, one prompt a line"
            )
        if "prompt" not in takes and self.prompts is not None:
            raise UsageError(f"{self.argument} takes no prompts: leave out --prompts")
        return folder, kind, takes

    def _settings(self, kind: str, takes: set[str]) -> dict[str, Any]:
        asked = {
            "num_inference_steps": ("steps", self.steps or None),
            "guidance_scale": ("guidance", self.guidance),
        }
        for name, (option, value) in asked.items():
            if value is not None and name not in takes:
                raise UsageError(f"{kind} takes no {name}: leave out --{option}")
        return {name: value for name, (_, value) in asked.items() if value is not None}


def _network(folder: Path) -> tuple[str, dict[str, Any]]:
    """The component that denoises, and its configuration."""
    for name in _NETWORKS:
        if (folder / name / "config.json").is_file():
            return name, read_json(folder / name / "config.json")
    raise GenbenchError(f"{folder} has no {' or '.join(_NETWORKS)}: this pipeline is not known")


def _enlarging(folder: Path) -> int:
    """Pixels a side of one latent."""
    for name in _AUTOENCODERS:
        if (folder / name / "config.json").is_file():
            config = folder / name / "config.json"
            blocks = read_json(config).get("block_out_channels", [0])
            if not isinstance(blocks, list) or not blocks:
                raise GenbenchError(f"{config} has no list of block_out_channels: fetch it again")
            return int(2 ** (len(blocks) - 1))
    return 1


def _default(kind: Any, name: str, otherwise: int) -> int:
    import inspect

    parameter = inspect.signature(kind.__call__).parameters.get(name)
    return parameter.default if parameter and isinstance(parameter.default, int) else otherwise


def family_of(argument: str) -> type[Adapter]:
    """The family of a pipeline's folder or Hub id."""
    card = ModelCard(
        name=argument.rstrip("/").rsplit("/", 1)[-1], resolution=0,
        note="size, classes and steps stand in the folder",
    )  # fmt: skip
    return type("Pipeline", (Pipeline,), {"argument": argument, "cards": (card,)})


OPENER = Opener(
    takes="FOLDER-OR-HUB-ID",
    about="a pipeline of diffusers; of the Hub owner/name@revision",
    family=family_of,
    lacking=lacking,
)
