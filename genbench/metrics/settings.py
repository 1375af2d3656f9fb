"""What each metric lets a protocol choose, as the protocol says it and as a record keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Layer = Literal["pool", "spatial", "logits"]
Side = Literal["samples", "reference"]
Kernel = Literal["linear", "polynomial"]


class Choices(Protocol):
    """The choices of an evaluation protocol, in its own names."""

    @property
    def pr_neighbours(self) -> int: ...  # noqa: D102
    @property
    def pr_half(self) -> bool: ...  # noqa: D102
    @property
    def neighbours_strict(self) -> bool: ...  # noqa: D102
    @property
    def neighbour_rows(self) -> int: ...  # noqa: D102
    @property
    def dc_neighbours(self) -> int: ...  # noqa: D102
    @property
    def is_splits(self) -> int: ...  # noqa: D102
    @property
    def is_split_size(self) -> int: ...  # noqa: D102
    @property
    def is_shuffle(self) -> bool: ...  # noqa: D102
    @property
    def kid_subsets(self) -> int: ...  # noqa: D102
    @property
    def kid_subset_size(self) -> int: ...  # noqa: D102
    @property
    def kid_seed(self) -> int: ...  # noqa: D102
    @property
    def kid_first(self) -> Side: ...  # noqa: D102
    @property
    def kid_capped(self) -> bool: ...  # noqa: D102
    @property
    def fd_points(self) -> int: ...  # noqa: D102
    @property
    def fd_seed(self) -> int: ...  # noqa: D102
    @property
    def mind_directions(self) -> int: ...  # noqa: D102
    @property
    def mind_seed(self) -> int: ...  # noqa: D102
    @property
    def vendi_order(self) -> float: ...  # noqa: D102
    @property
    def vendi_kernel(self) -> Kernel: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class FrechetSettings:
    """Of a distance between moments, Fréchet's above all: the detector's layer."""

    kind: Literal["frechet"] = "frechet"
    layer: Layer


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Of an Inception Score. splits: parts of nearly equal size; 0: parts of `split_size`."""

    kind: Literal["score"] = "score"
    splits: int
    split_size: int
    shuffle: bool


@dataclass(frozen=True, kw_only=True)
class KernelSettings:
    """Of a kernel distance: its random subsets. first: the side whose rows are drawn first. capped:
    whether smaller sides make smaller subsets."""

    kind: Literal["kernel"] = "kernel"
    subsets: int
    subset_size: int
    seed: int
    first: Side = "samples"
    capped: bool = False


@dataclass(frozen=True, kw_only=True)
class ExtrapolationSettings:
    """Of a distance at infinitely many samples: its random subsets."""

    kind: Literal["extrapolation"] = "extrapolation"
    points: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class DirectionSettings:
    """Of a sliced distance: its random directions."""

    kind: Literal["directions"] = "directions"
    directions: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class GaussianSettings:
    """Of a distance with a Gaussian kernel: the kernel's width and what the value is scaled by."""

    kind: Literal["gaussian"] = "gaussian"
    sigma: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class VendiSettings:
    """Of a Vendi score: the entropy's order (0: infinite) and the kernel."""

    kind: Literal["vendi"] = "vendi"
    order: float
    kernel: Kernel


@dataclass(frozen=True, kw_only=True)
class NeighbourSettings:
    """Of precision, recall, density and coverage. half: in the float16 of ADM's evaluator. strict:
    whether the rim of every ball is outside. rows: drawn of each set; 0: all."""

    kind: Literal["neighbours"] = "neighbours"
    neighbours: int
    half: bool = False
    strict: bool = False
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class NearestSettings:
    """Of a comparison with the nearest training image. share: of held-out images below the limit;
    0 where there is none."""

    kind: Literal["nearest"] = "nearest"
    share: float = 0


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """Of C_T: its cells, the principal components of wider features, and the seed of both."""

    kind: Literal["cells"] = "cells"
    cells: int = 3
    components: int = 64
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class LikelihoodSettings:
    """Of FLD and FLS: the largest number of samples (FLS: of rows of each set), and the seed of
    their draw."""

    kind: Literal["likelihood"] = "likelihood"
    rows: int = 10_000
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class CosineSettings:
    """Of a mean cosine: what it is scaled by."""

    kind: Literal["cosine"] = "cosine"
    scale: float = 100


MetricSettings = (
    FrechetSettings
    | ScoreSettings
    | KernelSettings
    | ExtrapolationSettings
    | DirectionSettings
    | GaussianSettings
    | VendiSettings
    | NeighbourSettings
    | NearestSettings
    | CellSettings
    | LikelihoodSettings
    | CosineSettings
)
