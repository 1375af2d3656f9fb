"""HiT weights: converted once from the official trainer's TensorFlow checkpoints, then safetensors.

A converted file carries its configuration, since the patch sizes are in no shape.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.contract import ModelCard
from genbench.models.optional import ConvertRun
from genbench.weights.unfilled import unfilled
from genbench_adapters.hit.network import START, HiT, HiTConfig
from genbench_adapters.hit.tensorflow import Bundle, checkpoint_prefix, open_bundle
from genbench_adapters.model_files import filled, load_filled, read_config, write_model

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_PREFIXES = {"ema": "ema_generator/", "generator": "generator/"}


def load_network(checkpoint: Path, card: ModelCard) -> HiT:
    """The generator of a converted file in eval mode, float32, on the CPU.

    Raises GenbenchError for a file without a configuration, another resolution, and missing, extra,
    misshapen and non-finite tensors.
    """
    config = hit_config(checkpoint)
    if config.resolution != card.resolution:
        raise GenbenchError(
            f"{checkpoint} is a HiT of {config.resolution} pixels, not {card.resolution}: pass "
            f"--res {config.resolution}"
        )
    with unfilled():
        network = HiT(config)
    return load_filled(network, checkpoint, what=f"HiT at {config.resolution} pixels")


def hit_config(checkpoint: Path) -> HiTConfig:
    """The configuration inside a converted file. Raises GenbenchError when there is none."""
    values = read_config(checkpoint)
    if values is None:
        raise GenbenchError(
            f"{checkpoint} carries no HiT configuration: run genbench convert hit CKPT --out "
            "hit.safetensors on the official trainer's checkpoint"
        )
    return HiTConfig.from_mapping(values)


def convert(run: ConvertRun) -> str:
    """Convert a TensorFlow checkpoint of the official trainer; returns what was done.

    Options: weights, "ema" (the trainer's evaluation) or "generator"; patches, such as "4,4,8,8,-",
    where they differ from the official ones. Every variable is used exactly once. Raises
    GenbenchError or UsageError with the remedy.
    """
    known = ("weights", "patches")
    for name in run.options:
        if name not in known:
            raise UsageError(f"convert hit has no option --{name}; {suggestion(name, known)}")
    if run.out.suffix != ".safetensors":
        raise UsageError(f"--out {run.out} must end in .safetensors")
    bundle = open_bundle(checkpoint_prefix(run.source))
    prefix = _prefix(bundle, run.options.get("weights", ""))
    variables = _variables(bundle, prefix)
    config = _config(bundle, variables, run.options.get("patches", ""))
    state = {
        key: torch.from_numpy(bundle.read(name).copy()).float() for key, name in variables.items()
    }
    with unfilled():
        network = HiT(config)
    filled(network, state, what=f"HiT at {config.resolution} pixels")
    write_model(run.out, state, dataclasses.asdict(config), kind="converted")
    return (
        f"{len(state)} variables of {prefix.rstrip('/')}, HiT at {config.resolution} pixels, "
        f"latent {config.latent}: {run.out}"
    )


def _prefix(bundle: Bundle, wanted: str) -> str:
    """The EMA generator, which the official evaluation samples, unless the user wants the raw."""
    if wanted and wanted not in _PREFIXES:
        raise UsageError(f"--weights {wanted!r} is neither ema nor generator")
    there = [name for name, prefix in _PREFIXES.items()
             if any(key.startswith(prefix) for key in bundle.entries)]  # fmt: skip
    if not there:
        raise GenbenchError(
            f"{bundle.prefix} holds no generator of HiT: name a checkpoint of the official trainer"
        )
    if wanted and wanted not in there:
        raise UsageError(
            f"{bundle.prefix} holds no {wanted} weights, only {' and '.join(there)}: pass "
            f"--weights {there[0]}"
        )
    return _PREFIXES[wanted or there[0]]


def parameter_name(variable: str, prefix: str) -> str:
    """The network's name of a variable of the checkpoint under a prefix such as ema_generator/."""
    key = variable.removeprefix(prefix).removesuffix(_SUFFIX)
    return key.replace("layer_with_weights-", "").replace("/", ".")


def _variables(bundle: Bundle, prefix: str) -> dict[str, str]:
    """Parameter name -> variable name. Optimiser slots of a variable are not variables."""
    found = {}
    for name, entry in bundle.entries.items():
        if not name.startswith(prefix) or not name.endswith(_SUFFIX) or ".OPTIMIZER_SLOT" in name:
            continue
        if entry.dtype is None:
            raise GenbenchError(f"{bundle.prefix}: {name} is not of numbers: copy it again")
        found[parameter_name(name, prefix)] = name
    return found


def _config(bundle: Bundle, variables: dict[str, str], patches: str) -> HiTConfig:
    """The configuration, read off the shapes; the patch sizes are the official ones or given."""

    def shape(key: str) -> tuple[int, ...]:
        if key not in variables:
            raise GenbenchError(f"{bundle.prefix} lacks {key} of HiT's generator: copy it again")
        return bundle.entries[variables[key]].shape

    stages = 0
    while f"position_embeddings.{stages}.embedding_weight" in variables:
        stages += 1
    kernels = [
        shape(f"blocks.{stage}.0.attention_layer.query_dense.kernel") for stage in range(stages)
    ]
    layers = [
        len({key.split(".")[2] for key in variables if key.startswith(f"blocks.{stage}.")}) - 1
        for stage in range(stages)
    ]
    plain = [any(key.startswith(f"to_rgb_layers.{stage}.") for key in variables)
             for stage in range(stages)]  # fmt: skip
    shared = shape("blocks.0.0.attention_layer.key_dense.kernel")[1] == 1
    return HiTConfig(
        dims=tuple(kernel[0] for kernel in kernels),
        heads=tuple(kernel[1] for kernel in kernels),
        layers=tuple(layers),
        patches=_patches(patches, plain),
        latent=shape("dense_layer.0.kernel")[0],
        norm="batch" if "embedding_layer.2.moving_mean" in variables else "layer",
        multi_query=shared,
    )


def _patches(given: str, plain: list[bool]) -> tuple[int | None, ...]:
    """Sides of the blocks: as given, else officially 4 up to 16 pixels and 8 above."""
    if not given:
        return tuple(
            None if without else (4 if START << stage <= 16 else 8)
            for stage, without in enumerate(plain)
        )
    try:
        sizes = [None if word == "-" else int(word) for word in given.split(",")]
    except ValueError as error:
        raise UsageError(f"--patches {given!r}: use numbers and -, such as 4,4,8,8,-") from error
    if [size is None for size in sizes] != plain:
        wanted = ",".join("-" if without else "N" for without in plain)
        raise UsageError(f"--patches {given} does not fit the checkpoint, which is {wanted}")
    return tuple(sizes)
