"""Every reader of files that genbench has, as genbench calls it, with small files that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fuzz_files as made
import fuzz_mutations as damage
import numpy as np
import tiny_recipes
from fuzz_configurations import CONFIGURED, read_configurations
from fuzz_files import ROOT

from genbench.images.opening import open_image_set
from genbench.images.sets import batches
from genbench.models.checkpoints import weights_origin
from genbench.quality.feature_files import read_features
from genbench.quality.known_references import load_references
from genbench.quality.statistics_readers import read_held
from genbench.records.papers import load_papers
from genbench.records.protocols import load_protocols
from genbench.records.store import check_appendable, read_records
from genbench.report.samples import _folders
from genbench.runtime.shards import ShardFolder
from genbench.speed.datasheets import known_gpus
from genbench.tables.published import find_published, load_published
from genbench.tables.specs import read_spec
from genbench.weights.loading import load_tensors
from genbench_adapters.adm.train import AdmRecipe
from genbench_adapters.biggan_deep.train import BigGANRecipe
from genbench_adapters.emd.distill import EmdRecipe
from genbench_adapters.emd.network import EDMConfig
from genbench_adapters.emd.pickles import is_pickle, read_network
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.hit.tensorflow import checkpoint_prefix, open_bundle
from genbench_adapters.model_files import read_config
from genbench_adapters.training.recipes import read_recipe


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What reads a kind of file. valid: the contents of files that it takes, and of some that it
    refuses. beside: other files of the same folder, by name, which stay whole."""

    name: str
    file: str  # the name of a file of this kind
    valid: Callable[[], Sequence[bytes]]
    read: Callable[[Path], object]
    mutate: damage.Mutate
    beside: Callable[[], Mapping[str, bytes]] = dict


def _read_images(path: Path) -> None:
    images = open_image_set(str(path))
    images.digest()
    for _ in batches(images, 0, len(images), 64):
        pass


def _read_records(path: Path) -> None:
    check_appendable(path)
    read_records(path, told=_one_line)
    read_records(path)


def _one_line(text: str) -> None:
    assert len(text.splitlines()) <= 1, "a note of more than one line"


def _read_tensors(path: Path) -> None:
    weights_origin(path)
    read_config(path)
    for value in load_tensors(path).values():
        value.float().isfinite().all()


def _read_pickle(path: Path) -> None:
    is_pickle(path)
    tensors, arguments = read_network(path)
    for value in tensors.values():
        value.float().isfinite().all()
    EDMConfig.from_mapping(arguments)


def _read_bundle(path: Path) -> None:
    bundle = open_bundle(checkpoint_prefix(path.parent))
    for name, entry in bundle.entries.items():
        if entry.dtype is not None:
            bundle.read(name)


def _read_shard(path: Path) -> None:
    folder = ShardFolder(path.parent, {"a": 1})
    path.rename(folder.path / "000000-pool.npz")
    if (found := folder.read(0, "pool", 2)) is not None:
        found.sum()


def _read_keys(path: Path) -> None:
    inner = path.parent / "0" / "key.json"
    inner.parent.mkdir(exist_ok=True)
    path.rename(inner)
    list(_folders(path.parent))


def _read_published(path: Path) -> None:
    values = load_published(path.parent)
    for value in values:
        _ = (value.number, value.rounding)
    find_published(values, (), "FID")


def _tables() -> dict[str, bytes]:
    return {f"{name}.csv": made.text(f"tables/{name}.csv")()[0] for name in ("published", "notes")}


def _read_recipe(kind: type[Any]) -> Callable[[Path], object]:
    return lambda path: read_recipe(path, kind)


_bytes = damage.several(damage.bytewise)
_arrays = damage.several(damage.bytewise, *[damage.zip_members(damage.npy)] * 3)
_toml = damage.several(damage.bytewise, damage.numbers, *[damage.toml_values] * 3)
_json = damage.several(damage.bytewise, damage.numbers, *[damage.json_values] * 3)
_pickles = damage.several(damage.bytewise, *[damage.pickled] * 3)
_weights = damage.several(
    damage.bytewise, damage.pickled, *[damage.zip_members(damage.pickled)] * 3
)
_pictures = damage.zip_members(damage.several(damage.bytewise, damage.png_chunks))
_recipes = ROOT / "adapters" / "genbench_adapters"

READERS = {reader.name: reader for reader in (
    Reader(name="npz-images", file="case.npz", read=_read_images, mutate=_arrays, valid=lambda: [
        made.npz(arr_0=made.pixels(3, 4, 4, 3), arr_1=np.arange(3)),
        made.npz(True, arr_0=made.pixels(3, 4, 4, 3)), made.npz(arr_0=np.ones((2, 4, 4, 3))),
        made.npz(arr_0=made.OBJECTS)]),
    Reader(name="statistics", file="case.npz", mutate=_arrays,
           read=lambda path: read_held(path, "inception"),
           valid=lambda: [made.npz(**made.STATISTICS, meta=np.array(made.META)),
                          made.npz(True, **made.STATISTICS),
                          made.npz(feats=np.ones((3, 2), np.float32))]),
    Reader(name="statistics-pickle", file="case.pkl", read=lambda path: read_held(
        path, "inception"), valid=made.statistics_pickles, mutate=_pickles),
    Reader(name="statistics-torch", file="case.pt", read=lambda path: read_held(
        path, "inception"), valid=made.statistics_torch, mutate=_weights),
    Reader(name="references", file="case.toml", read=load_references, mutate=_toml,
           valid=made.text("tables/references.toml")),
    Reader(name="papers", file="case.toml", read=load_papers, mutate=_toml,
           valid=made.text("tables/papers.toml")),
    Reader(name="features", file="case.npz", read=read_features, mutate=_arrays, valid=lambda: [
        made.npz(features=np.ones((3, 2), np.float32), logits=np.ones((3, 4))),
        made.npz(True, features=np.ones((2, 2)))]),
    Reader(name="shards", file="case.npz", read=_read_shard, mutate=_arrays, valid=lambda: [
        made.npz(data=np.ones((3, 2), np.float32)), made.npz(data=made.OBJECTS)]),
    Reader(name="cache-keys", file="key.json", read=_read_keys, mutate=_json,
           valid=lambda: [b'{"a": 1, "b": {"c": "d"}}']),
    Reader(name="safetensors", file="case.safetensors", read=_read_tensors, valid=made.safetensors,
           mutate=damage.several(damage.bytewise, *[damage.safetensors] * 3)),
    Reader(name="torch", file="case.pt", read=_read_tensors, valid=made.torch_files,
           mutate=_weights),
    Reader(name="edm-pickle", file="case.pkl", read=_read_pickle, valid=made.edm_pickles,
           mutate=_pickles),
    Reader(name="tensorflow", file="ckpt-7.index", read=_read_bundle, mutate=_bytes,
           valid=lambda: made.bundle("index"), beside=lambda: {
               "ckpt-7.data-00000-of-00001": made.bundle("data-00000-of-00001")[0]}),
    Reader(name="configurations", file="config.json", read=read_configurations, mutate=_json,
           valid=lambda: CONFIGURED),
    Reader(name="records", file="runs.jsonl", read=_read_records, mutate=_json, valid=made.records),
    Reader(name="protocols", file="case.toml", read=load_protocols, mutate=_toml,
           valid=made.text("tables/protocols.toml")),
    Reader(name="gpus", file="case.toml", read=known_gpus.__wrapped__, mutate=_toml,
           valid=made.text("tables/gpus.toml")),
    Reader(name="table-specs", file="case.toml", read=read_spec, mutate=_toml, valid=made.text(
        "tables/bundled.toml", "tables/adm-table7.toml")),
    *(Reader(name=f"recipe-{name}", file="case.toml", read=_read_recipe(kind), mutate=_toml,
             valid=partial(list, [text.encode()]))
      for name, kind, text in (
          ("hit", HiTRecipe, tiny_recipes.HIT_RECIPE),
          ("biggan", BigGANRecipe, tiny_recipes.BIGGAN_RECIPE),
          ("adm", AdmRecipe, (_recipes / "adm" / "fashion-mnist-32.toml").read_text()),
          ("emd", EmdRecipe, (_recipes / "emd" / "fashion-mnist-32.toml").read_text()))),
    *(Reader(name=name, file=f"{name}.csv", read=_read_published, mutate=damage.several(
        damage.bytewise, damage.numbers), valid=made.text(f"tables/{name}.csv"), beside=_tables)
      for name in ("published", "notes")),
    Reader(name="picture-zip", file="case.zip", read=_read_images, valid=made.zipped, mutate=damage
           .several(damage.bytewise, *[_pictures] * 3)),
    Reader(name="png", file="set/case.png", read=lambda path: _read_images(path.parent),
           valid=made.pngs, mutate=damage.several(damage.bytewise, *[damage.png_chunks] * 3)),
    Reader(name="jpeg", file="set/case.jpg", read=lambda path: _read_images(path.parent),
           valid=made.jpegs, mutate=_bytes),
    Reader(name="webp", file="set/case.webp", read=lambda path: _read_images(path.parent),
           mutate=_bytes, valid=lambda: [
               made.picture("WEBP"), made.picture("WEBP", "RGBA"),
               made.picture("WEBP", lossless=True)]),
)}  # fmt: skip
