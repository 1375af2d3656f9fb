"""Small EDM networks, and network pickles of them as EDM's own tools write such files."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from genbench.models.noise import NoiseStream
from genbench_adapters.emd.network import EDM, EDMConfig

ADM_LIKE = EDMConfig(
    img_resolution=32,
    label_dim=10,
    model_channels=32,
    channel_mult=(1, 2),
    num_blocks=1,
    attn_resolutions=(16,),
)
DDPMPP = EDMConfig(
    img_resolution=16,
    model_type="SongUNet",
    model_channels=16,
    channel_mult=(2, 2),
    num_blocks=1,
    attn_resolutions=(8,),
    augment_dim=9,
)
NCSNPP = EDMConfig(
    img_resolution=16,
    label_dim=10,
    model_type="SongUNet",
    model_channels=16,
    channel_mult=(1, 2),
    num_blocks=1,
    attn_resolutions=(8,),
    embedding_type="fourier",
    channel_mult_noise=2,
    encoder_type="residual",
    resample_filter=(1, 3, 3, 1),
)


def small_network(config: EDMConfig = ADM_LIKE) -> EDM:
    """A network in eval mode whose every parameter is drawn from genbench's own noise."""
    network = EDM(config)
    state = network.state_dict()
    for number, (key, value) in enumerate(state.items()):
        noise = NoiseStream(17, torch.tensor([number])).normal(value.shape)[0]
        if value.dim() > 1 and not key.endswith("resample_filter"):
            state[key] = noise / value[0].numel() ** 0.5
        if value.dim() == 1:
            state[key] = 0.1 * noise + (1.0 if "norm" in key and key.endswith("weight") else 0.0)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def arguments_of(config: EDMConfig) -> dict[str, Any]:
    """The constructor arguments as EDM's training records them."""
    listed = {key: list(value) if isinstance(value, tuple) else value
              for key, value in asdict(config).items()}  # fmt: skip
    return listed | {"use_fp16": True}


def _reconstruct_persistent_obj(meta: object) -> None:
    """What pickles name; stands in torch_utils.persistence while one is written."""


class _Dict(dict[str, Any]):
    """Stands in for dnnlib.util.EasyDict while a pickle is written."""


class _Official(pickle.Pickler):
    """Writes modules as torch_utils.persistence does: state, and the source code of the class."""

    kind, source = "EDMPrecond", ""
    arguments: Mapping[str, Any] = {}

    def reducer_override(self, item: Any) -> Any:
        """Modules as persistent objects, but for torch's own containers."""
        if not isinstance(item, nn.Module) or isinstance(item, nn.ModuleDict):
            return NotImplemented
        state = dict(item.__dict__)
        top = isinstance(item, EDM)
        state = {key: value for key, value in state.items() if key not in ("config", "style")}
        state["_init_kwargs"] = _Dict(self.arguments) if top else {"init_weight": NUMBER}
        meta = {
            "type": "class", "version": 6, "module_src": self.source, "state": state,
            "class_name": self.kind if top else type(item).__name__,
        }  # fmt: skip
        return _reconstruct_persistent_obj, (meta,)


NUMBER = torch.tensor(0.5).numpy()[()]  # a NumPy scalar, as np.sqrt(1 / 3) leaves in the files


def write_pickle(
    path: Path,
    network: EDM,
    *,
    kind: str = "EDMPrecond",
    source: str = "",
    arguments: Mapping[str, Any] | None = None,
    **others: Any,
) -> Path:
    """A network snapshot of the kind that train.py of EDM writes; `others` lie beside the `ema`."""
    persistence = types.ModuleType("torch_utils.persistence")
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    util = types.ModuleType("dnnlib.util")
    util.EasyDict = _Dict  # type: ignore[attr-defined]
    modules = {
        "torch_utils": types.ModuleType("torch_utils"), "torch_utils.persistence": persistence,
        "dnnlib": types.ModuleType("dnnlib"), "dnnlib.util": util,
    }  # fmt: skip
    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _Dict.__module__, _Dict.__qualname__ = "dnnlib.util", "EasyDict"
    held = {"ema": network, "loss_fn": None, "augment_pipe": None,
            "dataset_kwargs": _Dict(path="x"), **others}  # fmt: skip
    with mock.patch.dict(sys.modules, modules), path.open("wb") as file:
        pickler = _Official(file, protocol=4)
        pickler.kind, pickler.source = kind, source
        given = arguments_of(network.config) if arguments is None else arguments
        pickler.arguments = dict(given)
        pickler.dump(held)
    return path
