"""EDM-preconditioned weights: genbench's files, bare state dicts, and pickles by conversion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.contract import ModelCard
from genbench.models.optional import ConvertRun
from genbench.weights.unfilled import unfilled
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser, student_network
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.emd.pickles import is_pickle, read_network
from genbench_adapters.model_files import filled, load_filled, parsed_json, read_config, write_model

# The network of ImageNet 64, which DMD2's and EDM's published files share.
IMAGENET_64 = EDMConfig(img_resolution=64, label_dim=1000)


def load_network(checkpoint: Path, card: ModelCard) -> EDM:
    """The denoiser of a checkpoint in eval mode, float32, on the CPU.

    A genbench file carries its configuration; that of a bare state dict (DMD, DMD2, SiD) is the
    config.json beside it, EDM's constructor arguments under their names, else ImageNet 64's. Raises
    GenbenchError for another resolution or number of classes than the card's, and for missing,
    extra, misshapen and non-finite tensors.
    """
    if is_pickle(checkpoint):
        raise GenbenchError(
            f"{checkpoint} is a pickle: convert it once, genbench convert edm {checkpoint} --out "
            "edm.safetensors --trust-pickle"
        )
    values = read_config(checkpoint) or _beside(checkpoint)
    if values is None and card.resolution != IMAGENET_64.img_resolution:
        raise GenbenchError(
            f"{checkpoint} carries no configuration, and only that of ImageNet 64 is known: "
            "put its config.json beside it, convert its pickle, or pass --res 64"
        )
    config = IMAGENET_64 if values is None else EDMConfig.from_mapping(values)
    if (config.img_resolution, config.label_dim) != (card.resolution, card.classes):
        raise GenbenchError(
            f"{checkpoint} is an EDM network of {config.img_resolution} pixels and "
            f"{config.label_dim} classes, not of {card.resolution} and {card.classes}: choose its "
            "variant"
        )
    what = f"EDM at {config.img_resolution} pixels"
    return load_filled(_empty(config), checkpoint, what=what)


def _beside(checkpoint: Path) -> Mapping[str, Any] | None:
    path = checkpoint.with_name("config.json")
    if not path.is_file():
        return None
    try:
        values = parsed_json(path.read_text())
    except (OSError, ValueError) as error:
        raise GenbenchError(f"{path} is not a JSON file ({error}): write it again") from error
    if not isinstance(values, dict):
        raise GenbenchError(f"{path} holds no configuration: write it again")
    return values


def _empty(config: EDMConfig) -> EDM:
    """The network without its tensors."""
    with unfilled():
        try:
            return EDM(config)
        except (ValueError, RuntimeError) as error:  # widths that join to uneven groups
            raise GenbenchError(
                f"no EDM network can be built of this configuration ({error}): correct it"
            ) from error


def load_generator(checkpoint: Path, card: ModelCard) -> tuple[AdmDenoiser | EdmDenoiser, float]:
    """A one-step generator in eval mode on the CPU, and its noise level; 0.0 where no file tells.

    What `genbench distill` wrote, or an EDM network as `load_network` takes it. Raises
    GenbenchError as that does.
    """
    values = None if checkpoint.suffix in (".pkl", ".pickle") else read_config(checkpoint)
    if values is None or "kind" not in values:
        return EdmDenoiser(load_network(checkpoint, card)), 0.0
    network = student_network(values, checkpoint)
    if (network.resolution, network.classes) != (card.resolution, card.classes):
        raise GenbenchError(
            f"{checkpoint} is a generator of {network.resolution} pixels and {network.classes} "
            f"classes, not of {card.resolution} and {card.classes}: choose its variant"
        )
    sigma = values.get("sigma")
    if not isinstance(sigma, float) or not 0 < sigma < float("inf"):
        raise GenbenchError(f"{checkpoint} names no noise level but {sigma!r}: distil it again")
    return load_filled(network, checkpoint, what="the one-step generator"), sigma


def convert(run: ConvertRun) -> str:
    """Convert an EDM network pickle; returns what was done.

    Option: trust-pickle, without which the file is not even opened. Raises GenbenchError or
    UsageError with the remedy.
    """
    known = ("trust-pickle",)
    for name in run.options:
        if name not in known:
            raise UsageError(f"convert edm has no option --{name}; {suggestion(name, known)}")
    if run.options.get("trust-pickle") != "true":
        raise UsageError(
            f"{run.source} is a pickle: whatever opens one the usual way runs the code that it "
            "names or carries, as you, with your files. genbench runs nothing of it and takes "
            "tensors and configuration alone, but a reader may have faults: if you trust where "
            "the file comes from, add --trust-pickle"
        )
    if run.out.suffix != ".safetensors":
        raise UsageError(f"--out {run.out} must end in .safetensors")
    state, arguments = read_network(run.source)
    config = EDMConfig.from_mapping(arguments)
    state = {key: value.float() for key, value in state.items()}
    augment = state.get("model.map_augment.weight")
    if augment is not None and augment.dim() == 2 and not config.augment_dim:
        config = dataclasses.replace(config, augment_dim=augment.shape[1])
    filled(_empty(config), state, what=f"EDM at {config.img_resolution} pixels ({run.source})")
    write_model(run.out, state, dataclasses.asdict(config), kind="converted")
    return (
        f"{len(state)} tensors, {config.model_type} at {config.img_resolution} pixels, "
        f"{config.label_dim} classes: {run.out}"
    )
