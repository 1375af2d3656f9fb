"""Networks that helped a generator to learn, written beside it and begun with again."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from genbench.weights.loading import load_state_strictly, load_tensors
from genbench_adapters.model_files import write_model


def write_beside(folder: Path, **networks: nn.Module) -> None:
    """Write the networks that helped a generator to learn (float16) beside it, by their names, so
    that a later run can begin with all: a discriminator that must first learn to judge a good
    generator is no help to it for long."""
    for name, network in networks.items():
        state = {key: value.half() for key, value in network.state_dict().items()}
        write_model(folder / f"{name}.safetensors", state, {}, kind="trained-here")


def begin_with(folder: Path, **networks: nn.Module) -> None:
    """Give networks the weights that a finished run left in a folder, by their names; the
    generator is `model`.

    Raises GenbenchError when a file is missing, damaged or of another network.
    """
    for name, network in networks.items():
        path = folder / f"{name}.safetensors"
        load_state_strictly(network, load_tensors(path), what=f"the initial network {path}")
