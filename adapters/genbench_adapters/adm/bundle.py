"""A guided model in one file, as genbench trains and bundles it: denoiser and classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genbench.errors import GenbenchError
from genbench_adapters.adm.network import UNetConfig
from genbench_adapters.adm.variants import Variant
from genbench_adapters.model_files import parsed_json


@dataclass(frozen=True, kw_only=True)
class GuidedModel:
    """The contents of its config.json; the tensors lie under "unet/" and "classifier/"."""

    noise_schedule: Literal["linear", "cosine"]
    diffusion_steps: int
    unet: UNetConfig
    classifier: UNetConfig
    predict_xstart: bool = False


def as_variant(model: GuidedModel, name: str) -> Variant:
    """A guided model as a variant, sampled by DDIM in 25 steps with classifier scale 1."""
    return Variant(
        name=name,
        resolution=model.unet.image_size,
        unet=model.unet,
        parameters=0,
        file="",
        schedule=model.noise_schedule,
        diffusion_steps=model.diffusion_steps,
        predict_xstart=model.predict_xstart,
        classifier=model.classifier,
        classifier_scale=1.0,
        steps=25,
        sampler="ddim",
    )


def read_bundle(checkpoint: Path) -> GuidedModel | None:
    """The config.json beside a checkpoint, or None where there is none (an official file).

    Raises GenbenchError for one that is broken.
    """
    path = checkpoint.with_name("config.json")
    if not path.is_file():
        return None
    try:
        values: Mapping[str, Any] = parsed_json(path.read_text())
        return GuidedModel(
            noise_schedule=values["noise_schedule"],
            diffusion_steps=values["diffusion_steps"],
            unet=UNetConfig.from_mapping(values["unet"]),
            classifier=UNetConfig.from_mapping(values["classifier"]),
            predict_xstart=bool(values.get("predict_xstart", False)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenbenchError(
            f"{path} is not the configuration of a guided ADM ({type(error).__name__}: {error}): "
            "put the one of this checkpoint there, or move an official checkpoint elsewhere"
        ) from error
