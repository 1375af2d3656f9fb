"""ADM's Table 7 as printed, and what it derives from counted FLOPs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from genbench.errors import GenbenchError, UsageError
from genbench.models.registry import find_adapter, load_adapter_class
from genbench.runtime.folders import tables_folder
from genbench.speed.flops import flops_of


@dataclass(frozen=True, kw_only=True)
class PublishedStep:
    """One implementation in a row of ADM's Table 7: images a V100-second, batch a GPU."""

    batch: int
    throughput: float
    utilisation: int


@dataclass(frozen=True, kw_only=True)
class ThroughputRow:
    """One row of ADM's Table 7."""

    name: str
    network: str
    resolution: int
    theoretical: float
    naive: PublishedStep
    optimised: PublishedStep


@cache
def _tables() -> Mapping[str, Any]:
    path = tables_folder() / "audits.toml"
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise GenbenchError(f"{path} cannot be read ({error}): reinstall genbench") from error


@cache
def adm_table7() -> tuple[ThroughputRow, ...]:
    """ADM's Table 7 as printed."""
    return tuple(
        ThroughputRow(
            **{
                **row,
                "naive": PublishedStep(**row["naive"]),
                "optimised": PublishedStep(**row["optimised"]),
            }
        )
        for row in _tables()["adm-table7"]["rows"]
    )


def paper_peak() -> float:
    """The peak in FLOP/s of ADM's theoretical V100."""
    return float(_tables()["adm-table7"]["peak_tflops"]) * 1e12


def training_passes() -> int:
    """Forward passes that a training step counts for in ADM's theoretical throughput."""
    return int(_tables()["adm-table7"]["passes"])


@cache
def network_flops(model: str, network: str) -> int:
    """FLOPs of one forward pass at batch 1, counted on shapes alone; nothing is computed.

    Raises UsageError for a family without `genbench.models.optional.Forward`.
    """
    adapter = load_adapter_class(find_adapter(model))
    forward: Callable[[str], Callable[[], object]] | None
    forward = getattr(adapter, "network_forward", None)
    if forward is None:
        raise UsageError(f"model {model} does not say how its networks are counted")
    return flops_of(forward(network))


def theoretical_throughput(flops: float, *, peak: float, passes: int = 1) -> float:
    """Images a second of a device at 100% of `peak` FLOP/s: peak / (passes x FLOPs)."""
    return peak / (passes * flops)
