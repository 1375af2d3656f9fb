"""The distances and scores of metrics/distances.py, from features and labels to values."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genbench.metrics import nearest, neighbour_search, screening
from genbench.metrics.catalogue import METRICS
from genbench.metrics.distances import DISTANCES
from genbench.metrics.vendi import vendi_score
from genbench.quality.feasible import Means
from genbench.quality.features import ArrayFeatures
from genbench.quality.metric_values import MetricJob, Reference
from genbench.records.protocols import find_protocol
from genbench.runtime.progress import SilentReporter


class _Reference:
    name, rows = "theirs", 100

    def has_moments(self, layer: str) -> bool:
        return layer == "pool"


def _features(count: int, seed: int) -> ArrayFeatures:
    rows = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return ArrayFeatures("made", f"digest {seed}", {"pool": rows.numpy()})


def test_every_one_has_an_interval_or_why_there_is_none() -> None:
    reference = Reference("theirs", "digest", _features(200, 1), labels=torch.arange(200) % 12)
    job = MetricJob(
        _features(120, 2), reference, find_protocol("bundled"), "toy", SilentReporter(),
        interval=True, labels=torch.arange(120) % 12,
    )  # fmt: skip
    found = {value.metric.key: value for value in job.compute([(one, 120) for one in DISTANCES])}
    assert list(found) == [metric.key for metric in DISTANCES]
    for key in ("fid_infinity", "mind", "sw", "cmmd", "vendi", "class_fid"):
        estimate = found[key].estimate
        assert estimate.low is not None, key
        assert estimate.high is not None, key
        assert estimate.low <= estimate.value <= estimate.high, key
        assert estimate.interval.startswith("95%"), key
    assert found["class_vendi"].estimate.interval.startswith("none: ")
    assert found["fid_infinity"].estimate.reference_bias is not None
    assert not found["fid_infinity"].notes
    assert 1 < found["class_vendi"].estimate.value < found["vendi"].estimate.value < 9


def test_a_limit_from_too_small_subsets_is_noted() -> None:
    reference = Reference("theirs", "digest", _features(200, 1))
    job = MetricJob(_features(60, 2), reference, find_protocol("bundled"), "toy", SilentReporter())
    (value,) = job.compute([(METRICS["fid_infinity"], 60)])
    assert value.notes[0].startswith("the smallest subsets")
    assert "of 6 samples" in value.notes[0]


def test_searches_are_made_where_the_job_says_and_else_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, gpu = Reference("theirs", "digest", _features(90, 1)), torch.device("cuda:0")
    job = MetricJob(
        _features(60, 2), reference, find_protocol("bundled"), "toy", SilentReporter(),
        training=_features(80, 3),
    )  # fmt: skip
    keys = ("precision", "authpct", "copies")
    figures = [(METRICS[key], 60) for key in keys]
    expected = [value.estimate for value in job.compute(figures)]
    asked: list[torch.device] = []
    reporter = SilentReporter()

    def full(values: Tensor, device: torch.device) -> Tensor:
        asked.append(device)
        if device == gpu:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
        return values

    for module in (screening, nearest, neighbour_search):
        monkeypatch.setattr(module, "onto", full)
    found = replace(job, device=gpu, reporter=reporter).compute(figures)
    assert [value.estimate for value in found] == expected
    assert asked.count(gpu) == 4  # of precision, of samples among training, and two beside them
    assert all("has no memory for a search of nearest" in note for note in reporter.notes)

    def broken(values: Tensor, device: torch.device) -> Tensor:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(screening, "onto", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        replace(job, device=gpu).compute(figures)


def test_an_order_of_0_is_the_largest_eigenvalue() -> None:
    rows = _features(90, 3)
    protocol = replace(find_protocol("bundled"), vendi_order=0.0)
    job = MetricJob(rows, None, protocol, "toy", SilentReporter())
    (value,) = job.compute([(METRICS["vendi"], 90)])
    expected = vendi_score(torch.from_numpy(rows.arrays["pool"]), order=math.inf)
    assert value.estimate.value == expected


def test_classes_need_labels_of_what_they_compare() -> None:
    def why(key: str, *, samples: bool, references: bool) -> str:
        means = Means(
            choices=find_protocol("bundled"), detector="toy", layers={"pool"},
            reference=_Reference(), labelled=samples, reference_labelled=references,
        )  # fmt: skip
        return means.why_not(METRICS[key], 50)

    assert why("class_vendi", samples=True, references=False) == ""
    assert why("class_vendi", samples=False, references=True) == "it needs labels of the samples"
    assert why("class_fid", samples=True, references=True) == ""
    assert "theirs has none" in why("class_fid", samples=True, references=False)
