"""Datasheet facts of known GPUs: dense peaks, bandwidth, architecture, each with its source."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.runtime.folders import tables_folder

DTYPE_COLUMNS = ("float16", "bfloat16", "tf32", "float32")
_CELLS = (*DTYPE_COLUMNS, "bandwidth")
_TEXTS = ("title", "capability")
_LISTS = ("match", "aliases")


@dataclass(frozen=True)
class Cell:
    """A datasheet value, whether it was read ("seen") or is from memory ("recalled"), and where."""

    value: float
    confidence: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One device. peaks: dense TFLOP/s by dtype. bandwidth: GB/s of its memory.

    match: what occurs in the name the driver reports. capability: CUDA compute capability.
    """

    name: str
    title: str
    capability: str
    match: tuple[str, ...]
    bandwidth: Cell
    peaks: Mapping[str, Cell]
    aliases: tuple[str, ...] = field(default=())

    @property
    def architecture(self) -> str:
        """What `torch.cuda.get_arch_list` calls it: sm_70."""
        return "sm_" + self.capability.replace(".", "")

    @property
    def is_v100(self) -> bool:
        """Whether images a second on it are images a V100-second."""
        return self.architecture == "sm_70"

    def peak(self, dtype: str) -> float | None:
        """Dense peak in FLOP/s of a dtype; None where no cell says."""
        return self.peaks[dtype].value * 1e12 if dtype in self.peaks else None

    def cells(self) -> dict[str, Cell]:
        """Every cell by column."""
        return {**self.peaks, "bandwidth": self.bandwidth}


@cache
def known_gpus(path: Path | None = None) -> dict[str, Gpu]:
    """Every GPU of tables/gpus.toml by name. Raises GenbenchError for a broken file."""
    path = path or tables_folder() / "gpus.toml"
    try:
        tables = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise GenbenchError(f"{path} is missing: reinstall genbench") from error
    except tomllib.TOMLDecodeError as error:
        raise GenbenchError(f"{path} is not valid TOML ({error}): correct that line") from error
    return {name: _gpu(path, name, table) for name, table in tables.items()}


def _gpu(path: Path, name: str, table: Mapping[str, Any]) -> Gpu:
    if unknown := set(table) - {*_CELLS, *_TEXTS, *_LISTS}:
        known = suggestion(sorted(unknown)[0], (*_CELLS, *_TEXTS, *_LISTS))
        raise GenbenchError(f"{path}: [{name}] has an unknown key {sorted(unknown)[0]}; {known}")
    try:
        cells = {key: _cell(table[key]) for key in _CELLS if key in table}
        return Gpu(
            name=name,
            title=table["title"],
            capability=table["capability"],
            match=tuple(table["match"]),
            aliases=tuple(table.get("aliases", ())),
            bandwidth=cells.pop("bandwidth"),
            peaks=cells,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GenbenchError(f"{path}: [{name}] is broken ({error}): correct it") from error


def _cell(given: Any) -> Cell:
    value, confidence, source = given
    if confidence not in ("seen", "recalled"):
        raise ValueError(f"confidence {confidence!r} is neither seen nor recalled")
    return Cell(float(value), confidence, source)


def find_gpu(name: str) -> Gpu:
    """The GPU of a name or alias ("v100"). Raises UsageError with the nearest known one."""
    gpus = known_gpus()
    wanted = name.lower()
    for gpu in gpus.values():
        if wanted in (gpu.name, *gpu.aliases):
            return gpu
    names = [*gpus, *(alias for gpu in gpus.values() for alias in gpu.aliases)]
    raise UsageError(f"no GPU is named {name}; {suggestion(wanted, names)}")


def recognised(device_name: str) -> Gpu | None:
    """The known GPU that a driver's device name stands for; None for any other.

    Nothing but a memory size may follow: an L40 is no L4, an H200 NVL no H200 SXM.
    """
    for gpu in known_gpus().values():
        names = "|".join(map(re.escape, gpu.match))
        if re.search(rf"(^|\s)({names})(-.*)?$", device_name, re.IGNORECASE):
            return gpu
    return None


def missing_architecture(capability: tuple[int, int], built_for: Iterable[str]) -> str:
    """Why this build of torch cannot use a GPU of that compute capability, and what to do; ""
    when it can.

    built_for: `torch.cuda.get_arch_list()`. Binary code runs on its own major version from its
    minor version on; compute_NN (PTX) on anything newer.
    """
    major, minor = capability
    for entry in built_for:
        kind, _, digits = entry.partition("_")
        digits = digits.rstrip("af")  # sm_90a: features of that chip alone
        if not digits.isdigit():
            continue
        own = (int(digits[:-1]), int(digits[-1]))
        if kind == "sm" and own[0] == major and own[1] <= minor:
            return ""
        if kind == "compute" and own <= capability:
            return ""
    remedy = "install a build of torch made for it"
    if (major, minor) == (7, 0):
        remedy = (
            "install the CUDA 12.6 build of a torch below 2.15 (pip install 'torch<2.15' with the "
            "cu126 wheel index), the last that carries sm_70"
        )
    return f"this torch has no code for sm_{major}{minor} (it has {', '.join(built_for)}): {remedy}"
