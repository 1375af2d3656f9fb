"""Metrics described as data: names, directions and the reserved name FID."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import METRICS, metric_named, reported_key
from genbench.metrics.classical import CLASSICAL


def test_the_keys_are_those_the_protocols_use() -> None:
    classical = ["fid", "sfid", "is", "kid", "precision", "recall", "density", "coverage"]
    assert list(METRICS)[:8] == classical
    assert all(metric.key == key for key, metric in METRICS.items())
    names = [metric.generic_key for metric in METRICS.values()]
    assert len(set(names)) == len(names)


def test_direction_layer_and_need_of_a_reference() -> None:
    lower = {metric.key for metric in CLASSICAL if not metric.higher_is_better}
    assert lower == {"fid", "sfid", "kid"}
    assert {metric.key for metric in CLASSICAL if not metric.needs_reference} == {"is"}
    assert METRICS["sfid"].layer == "spatial"
    assert METRICS["is"].layer == "logits"
    assert all(metric.unit and metric.source for metric in METRICS.values())


def test_fid_is_the_name_of_inception_alone() -> None:
    names = [reported_key(metric, "inception") for metric in CLASSICAL]
    assert names == [metric.key for metric in CLASSICAL]
    generic = [reported_key(metric, "dinov2") for metric in CLASSICAL]
    assert generic == ["fd", "sfd", "cs", "kd", "precision", "recall", "density", "coverage"]


@pytest.mark.parametrize(("name", "key"), [("fid", "fid"), ("fd", "fid"), ("cs", "is")])
def test_a_metric_is_found_by_either_name(name: str, key: str) -> None:
    assert metric_named(name) is METRICS[key]


@pytest.mark.parametrize(("typo", "near"), [("precison", "precision"), ("FID", "fid")])
def test_a_misspelt_metric_suggests_the_nearest(typo: str, near: str) -> None:
    with pytest.raises(GenbenchError, match=rf"did you mean {near}\?"):
        metric_named(typo)
    with pytest.raises(GenbenchError, match="there is no metric xyzzy"):
        metric_named("xyzzy")


def test_the_descriptions_load_without_torch() -> None:
    code = "import sys, genbench.metrics.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
