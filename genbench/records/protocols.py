"""Evaluation protocols: read from tables/protocols.toml, found by name, changed by options."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.metrics.catalogue import metric_named
from genbench.metrics.settings import Kernel, Side
from genbench.runtime.digests import canonical_digest
from genbench.runtime.folders import tables_folder
from genbench.runtime.validated import read_toml, validated

Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]


_DESCRIPTIVE = {
    "title", "source", "counts", "name", "metrics", "rounding", "papers", "remarks", "seeds",
    "reported", "resize", "network", "labels",
}  # fmt: skip
# The choices of the first protocols, which their digests hold at any value. Add nothing here.
_ALWAYS = {
    "detector", "reference", "resolution", "crop", "pr_neighbours", "pr_half", "dc_neighbours",
    "is_splits", "is_split_size", "is_shuffle", "kid_subsets", "kid_subset_size", "kid_seed",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EvalProtocol:
    """How figures are computed. Two measurements compare only when their digests are equal."""

    name: str
    title: str = ""
    detector: str = "inception"
    reference: str = ""  # image-set spec; empty: --ref must name one
    resolution: Whole = 0  # 0: whatever the samples have
    crop: str = "none"
    metrics: tuple[str, ...] = ("fid", "sfid", "is", "kid", "precision", "recall")
    counts: tuple[Count, ...] = (50_000,)
    pr_neighbours: Count = 3
    pr_half: bool = False  # emulate the float16 distances of the ADM evaluator
    dc_neighbours: Count = 5
    is_splits: Whole = 0  # number of splits; 0: use is_split_size instead
    is_split_size: Count = 5000  # the ADM evaluator's chunks
    is_shuffle: bool = False  # shuffled with seed 2020, as torch-fidelity does
    kid_subsets: Count = 100
    kid_subset_size: Annotated[int, Ge(2)] = 1000
    kid_seed: int = 2020
    kid_first: Side = "samples"  # whose rows are drawn first
    kid_capped: bool = False  # smaller sides make smaller subsets
    fd_points: Annotated[int, Ge(2)] = 15  # of the line that FD-infinity is read from
    fd_seed: int = 0
    mind_directions: Count = 1000
    mind_seed: int = 2020
    vendi_order: Annotated[float, Ge(0), Lt(math.inf)] = 1.0  # of the entropy; 0: infinite
    vendi_kernel: Kernel = "linear"
    weights: str = ""  # SHA-256 of a detector's weights that the user brings; empty: its own
    preprocessing: str = ""  # how images come to the detector's input; empty: the detector's own
    logits_bias: bool = False  # Inception Score of logits with the classifier's bias
    neighbours_strict: bool = False  # `<` at the rim of every ball, as the prdc package
    neighbour_rows: Whole = 0  # rows of each side drawn for nearest neighbours; 0: all
    resize: str = ""  # how images come to the detector's input, in words
    network: str = ""  # which weights and code the official figures are of, and genbench's
    labels: str = ""  # of the samples, as the official code draws them
    # of samples to uint8, as the official code does it (genbench.images.rounding)
    rounding: Literal["", "truncate", "nearest", "floor256"] = ""
    papers: tuple[str, ...] = ()  # whose numbers it gives, "NAME (arXiv:…): which figures"
    remarks: tuple[str, ...] = ()  # what the official code does that its paper does not say
    seeds: Count = 1  # runs of other seeds that a published number is of
    reported: Literal["", "minimum", "mean"] = ""  # which of them its papers print
    source: str = ""  # paper or code that defines it

    def __post_init__(self) -> None:
        for key in self.metrics:
            metric_named(key)  # an unknown one is an error here, where the file can be named

    def digest(self) -> str:
        """Digest of what decides a figure. The sample count is not part of it: it is a column of
        its own, so that `-n 10000` and `-n 50000` of one protocol stay one protocol. A choice that
        later versions added counts where it is made: the digests of before stay what they were."""
        values = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in _DESCRIPTIVE
            and (item.name in _ALWAYS or getattr(self, item.name) != item.default)
        }
        return canonical_digest(values)[:16]


def with_weights(protocol: EvalProtocol, digest: str) -> EvalProtocol:
    """The protocol with a detector's weights of the user's own, starred: its figures compare with
    none of the protocol itself. digest: SHA-256 (hex) of the file."""
    name = protocol.name if protocol.name.endswith("*") else f"{protocol.name}*"
    return replace(protocol, name=name, weights=digest)


def load_protocols(path: Path | None = None) -> dict[str, EvalProtocol]:
    """Every protocol of a TOML file by name. Raises GenbenchError naming what is wrong in it."""
    path = path or tables_folder() / "protocols.toml"
    tables = read_toml(path)
    for name, table in tables.items():
        if isinstance(table, dict):
            tables[name] = {"name": name} | table
    found = validated(tables, dict[str, EvalProtocol], name=path)
    if wrong := [name for name, protocol in found.items() if protocol.name != name]:
        raise GenbenchError(f"{path}: {wrong[0]}.name is the table's own: leave it out")
    return found


def find_protocol(name: str) -> EvalProtocol:
    """The protocol of that name. Raises UsageError with the nearest for an unknown one."""
    protocols = load_protocols()
    if name not in protocols:
        raise UsageError(f"no protocol is named {name}; {suggestion(name, protocols)}")
    return protocols[name]


def choose_protocol(
    name: str,
    *,
    model_resolution: int = 0,
    referenced: bool = False,
    detector: str = "",
    preprocessing: str = "",
    crop: str = "",
    resolution: int = 0,
) -> EvalProtocol:
    """The protocol the user named, or the usual one, with the user's changes.

    Without a name: the one made for the model's resolution (bundled at 32 pixels, ADM's at ImageNet
    sizes), unless the user names a reference (`referenced`); otherwise "standard". With another
    detector than the protocol's, what it says of that one's input and logits is left aside. A
    change shows in the digest, and in a star behind the name.
    """
    if name:
        protocol = find_protocol(name)
    else:
        protocols = load_protocols()
        fitting = [item for item in protocols.values() if item.resolution == model_resolution != 0]
        protocol = fitting[0] if fitting and not referenced else protocols["standard"]
    changed = with_options(
        protocol, detector=detector, preprocessing=preprocessing, crop=crop,
        resolution=0 if model_resolution else resolution,
    )  # fmt: skip
    if resolution and changed.resolution and resolution != changed.resolution:
        raise UsageError(
            f"protocol {protocol.name} is for {changed.resolution} pixels, not --res {resolution}: "
            "choose another protocol (`genbench ls protocols`)"
        )
    return changed


def with_options(
    protocol: EvalProtocol,
    *,
    detector: str = "",
    preprocessing: str = "",
    crop: str = "",
    resolution: int = 0,
) -> EvalProtocol:
    """The protocol as options change it, starred where the change decides figures. resolution: that
    images are brought to, where the protocol names none."""
    another = detector not in ("", protocol.detector)
    changed = replace(
        protocol,
        detector=detector or protocol.detector,
        preprocessing=preprocessing or ("" if another else protocol.preprocessing),
        logits_bias=protocol.logits_bias and not another,
        crop=crop or protocol.crop,
        resolution=protocol.resolution or resolution,
    )
    if changed.digest() == protocol.digest():
        return protocol
    return replace(changed, name=protocol.name + "*")
