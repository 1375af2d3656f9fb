"""Metrics described as data: names, directions and the reserved name FID."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import METRICS, metric_named, reported_key


def test_the_keys_are_those_the_protocols_use() -> None:
    assert list(METRICS)[:8] == [
        "fid",
        "sfid",
        "is",
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
    ]
    assert all(metric.key == key for key, metric in METRICS.items())


def test_direction_layer_and_need_of_a_reference() -> None:
    lower = {key for key, metric in METRICS.items() if not metric.higher_is_better}
    assert lower >= {"fid", "sfid", "kid", "copies", "fld"}
    assert not lower & {"precision", "recall", "clipped_density", "authpct", "ct"}
    alone = {key for key, metric in METRICS.items() if not metric.needs_reference}
    assert alone >= {"is", "authpct"}
    assert METRICS["authpct"].training
    assert not METRICS["ct_test"].training
    assert METRICS["sfid"].layer == "spatial"
    assert METRICS["is"].layer == "logits"
    assert all(metric.unit and metric.source for metric in METRICS.values())


def test_fid_is_the_name_of_inception_alone() -> None:
    names = [reported_key(metric, "inception") for metric in METRICS.values()]
    assert names == list(METRICS)
    generic = [reported_key(metric, "dinov2") for metric in METRICS.values()]
    assert generic[:4] == ["fd", "sfd", "cs", "kd"]
    assert generic[4:] == list(METRICS)[4:]


@pytest.mark.parametrize(("name", "key"), [("fid", "fid"), ("fd", "fid"), ("cs", "is")])
def test_a_metric_is_found_by_either_name(name: str, key: str) -> None:
    assert metric_named(name) is METRICS[key]


@pytest.mark.parametrize(("typo", "near"), [("precison", "precision"), ("FID", "fid")])
def test_a_misspelt_metric_suggests_the_nearest(typo: str, near: str) -> None:
    with pytest.raises(GenbenchError, match=rf"did you mean {near}\?"):
        metric_named(typo)
    with pytest.raises(GenbenchError, match="coverage, cs, ct"):
        metric_named("xyzzy")


def test_the_descriptions_load_without_torch() -> None:
    code = "import sys, genbench.metrics.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
