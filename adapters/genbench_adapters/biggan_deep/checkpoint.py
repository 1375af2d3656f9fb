"""BigGAN-deep checkpoints: pytorch_model.bin or safetensors, with the config.json beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from genbench.errors import GenbenchError
from genbench.models.contract import ModelCard
from genbench.weights.loading import check_state, load_state_strictly, load_tensors
from genbench.weights.unfilled import unfilled, with_room
from genbench_adapters.biggan_deep.network import OFFICIAL, BigGANConfig, BigGANDeep
from genbench_adapters.model_files import parsed_json

# The published files (huggingface/pytorch-pretrained-BigGAN, model.py); no digest of them is.
PUBLISHED = "https://s3.amazonaws.com/models.huggingface.co/biggan/biggan-deep-{}-pytorch_model.bin"


def read_config(checkpoint: Path, card: ModelCard) -> BigGANConfig:
    """The configuration of a checkpoint: config.json (or NAME-config.json, as published) beside
    it, else the official one of the card's resolution. Raises GenbenchError for a broken file."""
    for path in _configurations(checkpoint):
        try:
            values = parsed_json(path.read_text())
        except (OSError, ValueError) as error:
            raise GenbenchError(f"{path} is not a JSON file ({error}): fetch it again") from error
        if not isinstance(values, dict):
            raise GenbenchError(f"{path} holds no configuration: fetch it again")
        try:
            return BigGANConfig.from_mapping(values)
        except GenbenchError as error:
            raise GenbenchError(f"{path}: {error}") from error
    if card.resolution not in OFFICIAL:
        raise GenbenchError(
            f"there is no config.json beside {checkpoint}, and no published BigGAN-deep has "
            f"{card.resolution} pixels: put the configuration there"
        )
    return OFFICIAL[card.resolution]


def _configurations(checkpoint: Path) -> list[Path]:
    published = checkpoint.name.replace("-pytorch_model.bin", "-config.json")
    names = ["config.json"] if published == checkpoint.name else [published, "config.json"]
    return [checkpoint.with_name(name) for name in names if checkpoint.with_name(name).is_file()]


def load_network(checkpoint: Path, card: ModelCard) -> BigGANDeep:
    """The generator of a checkpoint in eval mode, float32, on the CPU.

    Raises GenbenchError for another resolution or number of classes than the card's, and for
    missing, extra and misshapen tensors.
    """
    config = read_config(checkpoint, card)
    if config.output_dim != card.resolution:
        raise GenbenchError(
            f"{checkpoint} is a BigGAN-deep of {config.output_dim} pixels, not {card.resolution}: "
            f"pass --res {config.output_dim}"
        )
    if config.num_classes != card.classes:
        raise GenbenchError(
            f"{checkpoint} is a BigGAN-deep of {config.num_classes} classes, not of "
            f"{card.classes}, which {card.name} has: give it a card of its own "
            "(docs/add-a-model.md)"
        )
    state = load_tensors(checkpoint)
    made_for = _published_resolution(state)
    if config is OFFICIAL.get(card.resolution) and made_for not in (None, config.output_dim):
        raise GenbenchError(
            f"{checkpoint} has the blocks of the published BigGAN-deep of {made_for} pixels, not "
            f"{config.output_dim}: pass --res {made_for}"
        )
    with unfilled():
        network = BigGANDeep(config)
    what = f"BigGAN-deep at {config.output_dim} pixels"
    check_state(network, state, what=what)  # before memory is taken for what a file only announces
    network = with_room(network)
    load_state_strictly(network, state, what=what)
    broken = [key for key, value in network.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise GenbenchError(
            f"{checkpoint} holds NaN or infinity in {broken[0]}: fetch or train it again"
        )
    return network.eval()


def _published_resolution(state: Mapping[str, Tensor]) -> int | None:
    """Of the published network with as many blocks; of a lone file nothing else tells it."""
    blocks = {key.split(".")[2] for key in state if key.startswith("generator.layers.")}
    numbers = {len(config.layers) + 1: pixels for pixels, config in OFFICIAL.items()}  # 1 attends
    return numbers.get(len(blocks))
