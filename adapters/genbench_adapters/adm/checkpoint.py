"""ADM checkpoints: the published `.pt` state dicts, or the same tensors as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import nn

from genbench.errors import GenbenchError
from genbench.weights.loading import check_state, load_state_strictly, load_tensors
from genbench.weights.unfilled import unfilled, with_room
from genbench_adapters.adm.network import UNetConfig

Network = TypeVar("Network", bound=nn.Module)


def load_network(
    kind: type[Network], config: UNetConfig, checkpoint: Path, what: str, *, prefix: str = ""
) -> Network:
    """A network of `kind` with the tensors of a file, in eval mode, float32, on the CPU; none of
    its parameters wants a gradient.

    what: the network, for the errors. prefix: of the network's tensors in a file that holds more
    (see `bundle`), whose others are passed over. Raises GenbenchError for missing, extra,
    misshapen and non-finite tensors.
    """
    state = {
        key.removeprefix(prefix): value
        for key, value in load_tensors(checkpoint).items()
        if key.startswith(prefix)
    }
    with unfilled():
        network = kind(config)
    check_state(network, state, what=f"{what} ({checkpoint})")  # before memory is taken for it
    network = with_room(network)
    load_state_strictly(network, state, what=f"{what} ({checkpoint})")
    for key, value in state.items():
        if not value.isfinite().all():
            raise GenbenchError(f"{checkpoint} holds NaN or infinity in {key}: fetch it again")
    return network.eval().requires_grad_(False)
