"""Models in one safetensors file that carries its own configuration, for families that convert."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench.models.contract import CheckpointSource, ModelCard
from genbench.runtime.files import replacing
from genbench.weights.loading import check_state, load_state_strictly, load_tensors
from genbench.weights.unfilled import with_room

_CONFIG = "genbench.config"  # metadata key of the configuration, JSON
_KIND = "genbench.kind"  # read by genbench.models.checkpoints

Written = Literal["converted", "trained-here"]  # the kinds of weights that genbench writes
# The weights that a family brings with it, in its own folder.
BUNDLED = CheckpointSource(
    filename="model.safetensors", bundled="weights/model.safetensors", kind="trained-here"
)
Network = TypeVar("Network", bound=nn.Module)


def write_model(
    path: Path, state: Mapping[str, Tensor], config: Mapping[str, Any], *, kind: Written
) -> None:
    """Write tensors (of any shape and dtype) and configuration, whole or not at all, equal content
    as equal bytes. Raises GenbenchError as `replacing`."""
    metadata = {_KIND: kind, _CONFIG: json.dumps(config)}
    tensors = {key: value.contiguous().cpu() for key, value in state.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(_in_order(save(tensors, metadata=metadata)))


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library writes them in any order, and the
    digest of weights must not depend on that."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return file[:8] + text.ljust(end - 8) + file[end:]


def read_config(path: Path) -> dict[str, Any] | None:
    """The configuration in a file; None for one without, or of another format.

    Raises GenbenchError when a safetensors file is damaged.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_CONFIG, "")
        values = parsed_json(text) if text else None
    except (SafetensorError, OSError, ValueError) as error:
        raise GenbenchError(
            f"cannot load {path}: {error}; it is damaged or cut short, make it again"
        ) from error
    return values if isinstance(values, dict) else None


def parsed_json(text: str) -> Any:
    """`json.loads`, which raises ValueError alone for a text that is none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def filled(network: Network, state: Mapping[str, Tensor], *, what: str) -> Network:
    """A network made on torch's meta device, with the tensors of `state`: on the CPU, in eval mode.

    state: by name, any shape and dtype, as the network has them. what: the model, for the errors.
    Raises GenbenchError for missing, extra, misshapen and non-finite tensors.
    """
    check_state(network, state, what=what)  # before memory is taken for what a file only announces
    network = with_room(network)
    load_state_strictly(network, state, what=what)
    for key, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise GenbenchError(f"the weights of {what} hold NaN or infinity in {key}: make or "
                                "fetch them again")  # fmt: skip
    return network.eval()


def load_filled(network: Network, checkpoint: Path, *, what: str) -> Network:
    """`filled` with the tensors of a file."""
    return filled(network, load_tensors(checkpoint), what=f"{what} ({checkpoint})")


def given_file(card: ModelCard, checkpoint: Path | None) -> Path:
    """The file of a card's weights. Raises GenbenchError with the remedy where none is."""
    if checkpoint is None:
        raise GenbenchError(f"{card.name} needs its weights: pass --checkpoint PATH")
    return checkpoint
