"""Influences kept beside a record file, one .npz a run, so that runs can be compared in pairs.

They could be computed again from kept features, but these need the cache, the reference and the
detector of the day; what is kept here needs nothing: 4 bytes a sample and figure, of the very
interval that is on record, and it travels with the record file's folder.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genbench.metrics.influence import Influence
from genbench.records.kinds import Record
from genbench.runtime.files import replacing

Key = tuple[str, int]  # metric as reported, sample count
_KINDS = ("rows", "draws", "parts")


def influences_folder(records: Path) -> Path:
    """Where the influences of a record file lie: runs-samples beside runs.jsonl, as strips do."""
    return records.with_name(f"{records.stem}-samples")


def influences_in(folder: Path, run: str) -> Path:
    """The file of a run in a folder of influences."""
    return folder / f"{run}.npz"


def keep_influences(folder: Path, run: str, found: Mapping[Key, tuple[float, Influence]]) -> None:
    """Write the influences of a run's figures, each beside its value, as float32. Raises
    GenbenchError where the folder cannot be written."""
    if not found:
        return
    arrays: dict[str, Any] = {}
    for (metric, count), (value, influence) in found.items():
        name = f"{metric}@{count}"
        arrays[f"{name}/value"] = np.float64(value)
        for kind in _KINDS:
            array = getattr(influence, kind)
            if array.size:
                middle = array.mean(dtype=np.float64)  # a constant means nothing, and costs digits
                arrays[f"{name}/{kind}"] = (array - middle).astype(np.float32)
    with replacing(influences_in(folder, run)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_influences(folders: Iterable[Path], record: Record) -> Influence | None:
    """The influence of a record's figure; None where it is not kept, was damaged, or is of another
    value than the record's."""
    name = f"{record.metric}@{record.samples}"
    for folder in folders:
        path = influences_in(folder, record.run)
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if f"{name}/value" not in kept or float(kept[f"{name}/value"]) != record.value:
                    continue
                arrays = {
                    kind: np.asarray(kept[f"{name}/{kind}"], np.float32)
                    for kind in _KINDS if f"{name}/{kind}" in kept
                }  # fmt: skip
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            continue
        return Influence(**arrays)
    return None
