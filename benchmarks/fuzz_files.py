"""Small files of every kind that genbench reads, and a few that it must refuse."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import edm_files
import hit_files
import numpy as np
import torch
from made_records import made, speed
from PIL import Image
from safetensors.torch import save

from genbench.records.lines import to_line
from genbench_adapters.emd.network import EDMConfig

ROOT = Path(__file__).parent.parent
CANARY = "fuzz-canary"  # a folder in the working folder that only a pickle which was run would make
_TINY = EDMConfig(
    img_resolution=8, model_type="SongUNet", model_channels=4, channel_mult=(1,), num_blocks=1,
    attn_resolutions=(), label_dim=2,
)  # fmt: skip


class Canary:
    """An object whose pickle would make a folder, for whoever ran it."""

    def __reduce__(self) -> Any:
        return os.mkdir, (CANARY,)


def hostile_pickles() -> list[bytes]:
    """Pickles that would make the canary, of several protocols."""
    return [pickle.dumps({"ema": Canary()}, protocol) for protocol in (2, 4)]


def npz(compressed: bool = False, /, **arrays: Any) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def pixels(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def picture(kind: str, mode: str = "RGB", side: int = 8, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels(side, side, 3)).convert(mode).save(out, kind, **options)
    return out.getvalue()


def pngs() -> list[bytes]:
    out, deep = io.BytesIO(), io.BytesIO()
    frames = [Image.fromarray(pixels(4, 4, 3)) for _ in range(2)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    Image.fromarray(pixels(4, 4).astype(np.uint16) * 257).save(deep, "PNG", transparency=257)
    modes = ("RGB", "L", "1", "P", "RGBA", "LA")
    return [*(picture("PNG", mode) for mode in modes), out.getvalue(), deep.getvalue()]


def jpegs() -> list[bytes]:
    options: list[dict[str, Any]] = [{}, {"progressive": True}, {"subsampling": 2, "dpi": (9, 9)}]
    return [*(picture("JPEG", side=16, **each) for each in options), picture("JPEG", "L"),
            picture("JPEG", "CMYK")]  # fmt: skip


def zipped() -> list[bytes]:
    archives = []
    names = (("a/1.png", "b/2.png"), ("1.png", "2.jpg", "3.webp"), ("top/a/1.png", "top/b/2.png"))
    for group in names:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in group:
                kind = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[name.split(".")[-1]]
                archive.writestr(zipfile.ZipInfo(name), picture(kind))
        archives.append(out.getvalue())
    return archives


def torch_files() -> list[bytes]:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.int64)}
    out = []
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(tensors, file, _use_new_zipfile_serialization=zipped)
        out.append(file.getvalue())
    return [*out, *hostile_pickles()]


def safetensors() -> list[bytes]:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.int64)}
    told = {"genbench.kind": "converted", "genbench.config": json.dumps({"latent": 6})}
    return [save(tensors), save(tensors, metadata=told)]


def edm_pickles() -> list[bytes]:
    with TemporaryDirectory() as folder:
        path = edm_files.write_pickle(Path(folder, "a.pkl"), edm_files.small_network(_TINY))
        return [path.read_bytes(), *hostile_pickles()]


def statistics_pickles() -> list[bytes]:
    """EDM2's, of three pickle protocols, and hostile ones."""
    held = {"num_images": 9, "fid": {"mu": np.zeros(2), "sigma": np.eye(2)}}
    hostile = [pickle.dumps({"fid": {"mu": Canary()}}, protocol) for protocol in (2, 4)]
    return [*(pickle.dumps(held, protocol) for protocol in (2, 4, 5)), *hostile]


def statistics_torch() -> list[bytes]:
    """torch-fidelity's cached statistics and features."""
    out = []
    for held in ({"mu": np.zeros(2, np.float32), "sigma": np.eye(2)}, torch.ones(3, 2)):
        file = io.BytesIO()
        torch.save(held, file)
        out.append(file.getvalue())
    return out


def bundle(suffix: str) -> list[bytes]:
    with TemporaryDirectory() as folder:
        arrays = {
            f"ema_generator/{name}": np.ones((2, 3), np.float32) for name in "abcdefghijklmnopq"
        }
        hit_files.write_bundle(Path(folder, "ckpt-7"), arrays)
        return [Path(folder, f"ckpt-7.{suffix}").read_bytes()]


def records() -> list[bytes]:
    full = json.loads((ROOT / "docs" / "bundled-records.jsonl").read_text().splitlines()[0])
    plain = [to_line(made("a", "fid", 1.5)), to_line(speed("b", 3.0))]
    old = json.loads(plain[0])
    old = {key: old[key] for key in ("model", "resolution", "metric", "value", "unit", "samples",
           "detector", "protocol", "protocol_digest", "checkpoint", "seed", "run")}  # fmt: skip
    old |= {"environment": {"torch": "2", "gpu": {"name": "x"}}, "settings": {}, "options": {}}
    fast = {key: value for key, value in old.items() if key != "detector"} | {
        "protocol": "speed",
        "settings": {"mode": "sample", "precision": "tf32", "wall_seconds": 1},
    }
    lines = [*plain, json.dumps(full), json.dumps(old), json.dumps(fast)]
    return [("\n".join(lines) + "\n").encode(), (plain[0] + "\n").encode(), lines[3].encode()]


def text(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [b"\n".join((ROOT / name).read_bytes().split(b"\n")[:40]) for name in names]


STATISTICS: dict[str, Any] = {
    "mu": np.zeros(2),
    "sigma": np.eye(2),
    "mu_s": np.zeros(3),
    "sigma_s": np.eye(3),
}
META = json.dumps({"detector": "a", "identity": {}, "count": 3, "genbench": "0"})
OBJECTS = np.array([None, {}], object)
