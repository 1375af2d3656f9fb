"""EDM-preconditioned weights: genbench's files, bare state dicts, and pickles by conversion."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from genbench.core import ConvertRun, GenbenchError, ModelCard, UsageError, suggestion
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser, student_network
from genbench_adapters.emd.network import EDM, EDMConfig
from genbench_adapters.emd.pickles import read_network
from genbench_adapters.single_file import filled, load_filled, read_config, write_model

# The network of ImageNet 64, which DMD2's and EDM's published files share.
IMAGENET_64 = EDMConfig(img_resolution=64, label_dim=1000)


def load_network(checkpoint: Path, card: ModelCard) -> EDM:
    """The denoiser of a checkpoint in eval mode, float32, on the CPU.

    A genbench file carries its configuration; a bare state dict (DMD, DMD2) must be of ImageNet 64.
    Raises GenbenchError for another resolution or number of classes than the card's, and for
    missing, extra, misshapen and non-finite tensors.
    """
    if checkpoint.suffix in (".pkl", ".pickle"):
        raise GenbenchError(
            f"{checkpoint} is a pickle: convert it once, genbench convert edm {checkpoint} --out "
            "edm.safetensors --trust-pickle"
        )
    values = read_config(checkpoint)
    if values is None and card.resolution != IMAGENET_64.img_resolution:
        raise GenbenchError(
            f"{checkpoint} carries no configuration, and only that of ImageNet 64 is known: "
            "convert its pickle, or pass --res 64"
        )
    config = IMAGENET_64 if values is None else EDMConfig.from_mapping(values)
    if (config.img_resolution, config.label_dim) != (card.resolution, card.classes):
        raise GenbenchError(
            f"{checkpoint} is an EDM network of {config.img_resolution} pixels and "
            f"{config.label_dim} classes, not of {card.resolution} and {card.classes}: choose its "
            "variant"
        )
    with torch.device("meta"):
        network = EDM(config)
    return load_filled(network, checkpoint, what=f"EDM at {config.img_resolution} pixels")


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
            f"{run.source} is a pickle, which names code to run: genbench reads such a file by a "
            "short list of harmless names and runs nothing of it, but only when asked: add "
            "--trust-pickle"
        )
    if run.out.suffix != ".safetensors":
        raise UsageError(f"--out {run.out} must end in .safetensors")
    state, arguments = read_network(run.source)
    config = EDMConfig.from_mapping(arguments)
    state = {key: value.float() for key, value in state.items()}
    augment = state.get("model.map_augment.weight")
    if augment is not None and not config.augment_dim:
        config = dataclasses.replace(config, augment_dim=augment.shape[1])
    with torch.device("meta"):
        network = EDM(config)
    filled(network, state, what=f"EDM at {config.img_resolution} pixels ({run.source})")
    write_model(run.out, state, dataclasses.asdict(config), kind="converted")
    return (
        f"{len(state)} tensors, {config.model_type} at {config.img_resolution} pixels, "
        f"{config.label_dim} classes: {run.out}"
    )
