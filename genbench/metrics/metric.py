"""What a metric is: data and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from genbench.metrics.estimate import Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.settings import Choices, Layer, MetricSettings


def inception_alone(detector: str) -> bool:
    """Whether a detector is the one that FID and its kin are named for."""
    return detector == "inception"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric; records name it `key` and tables `short` where it is `named_for` the detector,
    which is Inception but for CMMD.

    layer: of the detector's outputs. compares: what it needs of the reference: nothing, the moments
    of its features (which a file may bring), or the features themselves. least: fewest samples and,
    where features are compared, references. settings: what a protocol chose for it. compute: its
    value; torch is imported no earlier, so that names come at once. few_samples: how it comes out
    where samples are few. training: whether it also needs features of the images that the model
    learned from. labelled: whether it needs labels of the samples, and of the references where it
    compares. prompted: whether the reference's rows are of texts, sample i's text number i counted
    round. named_for: whether a detector's features are those that `key` and `short` stand for.
    """

    key: str
    short: str
    title: str
    unit: str
    higher_is_better: bool
    layer: Layer
    compares: Literal["nothing", "moments", "features"]
    generic_key: str  # with any other detector
    generic_short: str
    generic_title: str
    source: str
    settings: Callable[[Choices], MetricSettings]
    least: Callable[[Choices], int]
    compute: Callable[[Evidence], Estimate]
    few_samples: Literal["", "too high", "too low"] = ""
    needs_shuffled: bool = False  # whether samples in the order of their classes spoil it
    training: bool = False
    labelled: bool = False
    prompted: bool = False
    named_for: Callable[[str], bool] = inception_alone

    @property
    def needs_reference(self) -> bool:
        """Whether there must be a reference."""
        return self.compares != "nothing"
