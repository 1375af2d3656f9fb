"""Small HiT networks, and TensorFlow checkpoints of them written without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genbench.models.noise import NoiseStream
from genbench_adapters.hit.network import HiT, HiTConfig

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
CONFIG = HiTConfig(
    dims=(16, 16, 8), heads=(4, 2, 2), layers=(1, 1, 1), patches=(4, 4, None), latent=6
)


def small_network(config: HiTConfig = CONFIG) -> HiT:
    """A network in eval mode whose every tensor is drawn from genbench's own noise."""
    network = HiT(config)
    state = network.state_dict()
    for number, (key, value) in enumerate(state.items()):
        noise = NoiseStream(13, torch.tensor([number])).normal(value.shape)[0]
        state[key] = noise * (0.2 if value.dim() > 1 else 0.1)
        if key.endswith("moving_variance"):
            state[key] = noise.exp()
        if key.endswith("gamma"):
            state[key] = 1 + 0.2 * noise
    network.load_state_dict(state)
    return network.eval()


def variable_name(key: str, prefix: str) -> str:
    """The Keras object path of a parameter: numbers inside Sequential layers are layers."""
    parts = key.split(".")
    counted = {"dense_layer", "embedding_layer", "mlp_block", "output_layer"}
    for place in range(1, len(parts)):
        inside = parts[place - 1] in counted or (place == 2 and parts[0] == "blocks")
        if parts[place].isdecimal() and inside:
            parts[place] = f"layer_with_weights-{parts[place]}"
    return f"{prefix}/{'/'.join(parts)}{SUFFIX}"


def write_checkpoint(folder: Path, networks: Mapping[str, HiT], name: str = "ckpt-7") -> Path:
    """PREFIX.index and PREFIX.data-00000-of-00001 of networks by their object's name."""
    arrays = {
        variable_name(key, prefix): value.numpy()
        for prefix, network in networks.items()
        for key, value in network.state_dict().items()
    }
    arrays[f"global_step{SUFFIX}"] = np.array(7, "<i8")
    write_bundle(folder / name, arrays)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    return folder / name


def write_bundle(prefix: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """A tensor bundle: the data in one shard, the index as a LevelDB table of small blocks."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    data, records = b"", [(b"", _field(1, 0, _varint(1)))]
    for name in sorted(arrays):
        array = arrays[name]
        dimensions = b"".join(
            _field(2, 2, _sized(_field(1, 0, _varint(size)))) for size in array.shape
        )
        kind = {"float32": 1, "int64": 9}[array.dtype.name]
        entry = _field(1, 0, _varint(kind)) + _field(2, 2, _sized(dimensions))
        entry += _field(4, 0, _varint(len(data))) + _field(5, 0, _varint(array.nbytes))
        records.append((name.encode(), entry))
        data += array.tobytes()
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    table, handles = b"", []
    for start in range(0, len(records), 16):
        group = records[start : start + 16]
        block = _block(group)
        handles.append((group[-1][0], _varint(len(table)) + _varint(len(block) - 5)))
        table += block
    index = _block(handles)
    place, meta = len(table), _block([])
    footer = _varint(place + len(index)) + _varint(len(meta) - 5)
    footer += _varint(place) + _varint(len(index) - 5)
    table += index + meta + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    Path(f"{prefix}.index").write_bytes(table)


def _block(records: list[tuple[bytes, bytes]]) -> bytes:
    body, before = b"", b""
    for key, value in records:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        body += _varint(shared) + _varint(len(key) - shared) + _varint(len(value))
        body += key[shared:] + value
        before = key
    return body + struct.pack("<II", 0, 1) + b"\0" * 5  # one restart; no compression, no checksum


def _field(number: int, kind: int, value: bytes) -> bytes:
    return _varint(number << 3 | kind) + value


def _sized(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
