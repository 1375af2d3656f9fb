"""Datasheet facts of known GPUs: dense peaks, bandwidth, architecture, each with its source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from genbench.errors import UsageError, suggestion
from genbench.runtime.folders import tables_folder
from genbench.runtime.validated import read_toml, validated

DTYPE_COLUMNS = ("float16", "bfloat16", "tf32", "float32")


class SheetValue(NamedTuple):
    """A datasheet value, whether it was read in its source ("seen"), where others quote that
    ("secondary"), or not looked up yet ("unverified"), and the source."""

    value: float
    confidence: Literal["seen", "secondary", "unverified"]
    source: str


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One device. float16 … float32: dense peaks in TFLOP/s. bandwidth: GB/s of its memory.

    match: what occurs in the name the driver reports. capability: CUDA compute capability.
    convention: TFLOP/s that published seconds of this GPU are counted against, where that is not
    the datasheet's peak.
    """

    name: str
    title: str
    capability: str
    match: tuple[str, ...]
    bandwidth: SheetValue
    aliases: tuple[str, ...] = ()
    float16: SheetValue | None = None
    bfloat16: SheetValue | None = None
    tf32: SheetValue | None = None
    float32: SheetValue | None = None
    convention: SheetValue | None = None

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
        found = self.cells().get(dtype) if dtype in DTYPE_COLUMNS else None
        return None if found is None else found.value * 1e12

    def cells(self) -> dict[str, SheetValue]:
        """Every value by column."""
        columns = {
            "float16": self.float16, "bfloat16": self.bfloat16, "tf32": self.tf32,
            "float32": self.float32, "bandwidth": self.bandwidth, "convention": self.convention,
        }  # fmt: skip
        return {name: value for name, value in columns.items() if value is not None}


@cache
def known_gpus(path: Path | None = None) -> dict[str, Gpu]:
    """Every GPU of tables/gpus.toml by name. Raises GenbenchError for a broken file."""
    path = path or tables_folder() / "gpus.toml"
    tables = read_toml(path)
    named = {name: {"name": name} | table if isinstance(table, dict) else table
             for name, table in tables.items()}  # fmt: skip
    return validated(named, dict[str, Gpu], name=path)


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
