"""The public door: every way to name samples gives the same figures; results show themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import genbench
from genbench.images.sets import ImageSet
from genbench.models.noise import NoiseStream
from genbench.runtime.progress import SilentReporter
from genbench.tables.views import Results

REFERENCE = "bundled[:120]"
ASKED: dict[str, Any] = {
    "protocol": "bundled",
    "reference": REFERENCE,
    "metrics": ("fd", "recall"),
    "device": "cpu",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def evaluate(cache: Path, *model: Any, **more: Any) -> Results[genbench.QualityRecord]:
    return genbench.evaluate(*model, cache=cache, reporter=SilentReporter(), **ASKED | more)


def pictures() -> Tensor:
    return genbench.open_images("bundled[200:300]").read(0, 100)


def batches() -> Iterator[Tensor]:
    yield from pictures().split(33)


def test_every_way_to_name_images_gives_the_same_figures(cache: Path) -> None:
    images = pictures()
    given: tuple[Any, ...] = (
        "bundled[200:300]",
        genbench.open_images("bundled[200:300]"),
        images,
        images.numpy(),
        images.permute(0, 2, 3, 1).numpy(),
        batches(),
        lambda labels, noise: images[noise.indices],
    )
    found = [evaluate(cache, samples=samples, counts=(100,)) for samples in given]
    values = [(each.value("fd"), each.value("recall")) for each in found]
    assert len(set(values)) == 1
    assert values[0][0] > 0
    assert all(record.samples == 100 for each in found for record in each)


def test_a_model_by_name_and_opened_gives_the_same_figures(cache: Path) -> None:
    by_name = evaluate(cache, "toy", resolution=32, counts=(60, 90), options={"contrast": 0.5})
    model = genbench.open_model("toy", resolution=32, options={"contrast": 0.5}, device="cpu")
    assert repr(model) == "<samples of toy-32 32×32, seed 0>"
    assert evaluate(cache, model, counts=90).value("fd") == by_name.value("fd", 90)
    opened = evaluate(cache, samples=model, counts=(60, 90))
    assert by_name.value("fd", 60) == opened.value("fd", 60) != opened.value("fd", 90)
    assert by_name[0].card == opened[0].card == "toy-32"
    assert by_name[0].options["contrast"] == 0.5
    assert by_name[0].nfe is None


def test_a_function_draws_from_labels_and_noise_alone(cache: Path) -> None:
    seen: list[int] = []

    def noise_of_a_class(labels: Tensor | None, noise: NoiseStream) -> Tensor:
        assert labels is not None
        seen.append(len(labels))
        level = labels[:, None, None, None] / 10
        return genbench.to_uint8(noise.uniform((3, 32, 32)) * level - 0.5)

    asked: dict[str, Any] = {"samples": noise_of_a_class, "classes": 10, "counts": (70,), "seed": 3}
    one = evaluate(cache, **asked, batch_size=32)
    other = evaluate(cache, **asked, batch_size=70)
    assert seen == [32, 32, 6, 70]
    assert one.value("fd") == other.value("fd")
    assert (one[0].model, one[0].seed, one[0].labels) == ("noise_of_a_class", 3, "uniform")
    assert one[0].resolution == 32


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (torch.zeros(4, 3, 32, 32) - 0.5, "holds float32 images, not uint8: genbench.to_uint8"),
        (torch.zeros(4, 3, 32, 32) + 0.5, r"these lie in \[0, 1\]; genbench.to_uint8"),
        (torch.zeros(4, 3, 32, 32) + 200, "these lie in 0 … 255; round and convert them"),
        (np.zeros((4, 32, 32), np.uint8), r"images are \[N, 3, H, W\] or \[N, H, W, 3\]"),
        (iter([]), "gave no images"),
        (iter([torch.zeros(2, 3, 32, 32).byte(), torch.zeros(2, 3, 16, 16).byte()]), "one size"),
        (iter(["x"]), "gave a str, not a batch of images"),
        (lambda labels, noise: torch.zeros(1, 3, 32, 32).byte(), "for 50 samples"),
        (lambda labels, noise: 1 / 0, "ZeroDivisionError"),
        (lambda labels, noise: None, "gave a NoneType for 50 samples"),
        (3, "a int holds no images: pass an array"),
        (None, "a NoneType holds no images: pass an array"),
        (torch.zeros(0, 3, 32, 32).byte(), "holds no images"),
        (iter([(torch.zeros(2, 3, 32, 32), 0)]), "gave a tuple, not a batch of images"),
    ],
)
def test_samples_that_are_none_are_one_clear_line(cache: Path, samples: Any, said: str) -> None:
    with pytest.raises(genbench.GenbenchError, match=said) as told:
        evaluate(cache, samples=samples, counts=(50,))
    assert "\n" not in str(told.value)


def test_labels_go_with_images() -> None:
    images = genbench.open_images(pictures(), labels=torch.arange(100) % 10, name="mine")
    assert isinstance(images, ImageSet)
    assert images.labels is not None
    assert images.labels[13] == 3
    assert images.name == "mine"
    assert repr(images) == "<mine: 100 images 32×32>"
    with pytest.raises(genbench.GenbenchError, match="one whole number for each of the 100 images"):
        genbench.open_images(pictures(), labels=[1.5] * 100)


def test_results_print_show_and_become_a_frame(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    results = evaluate(cache, "toy", resolution=32, counts=(60,), records=path, ci=True)
    text = repr(results)
    assert "toy 32×32, measured here" in text
    assert "FD (efficientnet-lite0)" in text
    assert "95% interval" in text
    html = results._repr_html_()
    assert "<table>" in html
    assert "FD (efficientnet-lite0)" in html
    frame = results.to_frame()
    assert list(frame["metric"]) == ["fd", "recall"]
    assert frame["value"][0] == results.value("fd")
    assert frame["environment.device_type"][0] == "cpu"
    assert list(genbench.read_records(path)) == list(results)
    again = evaluate(cache, "toy", resolution=32, counts=(60,), records=path, ci=True, reuse=True)
    assert list(again) == list(results)
    assert len(genbench.read_records(path)) == 2  # nothing was computed or written again
    with pytest.raises(KeyError, match="no kid; there are: fd at 60, recall at 60"):
        results.value("kid")
    with pytest.raises(KeyError, match="no fd at 7; there are: fd at 60"):
        results.value("fd", 7)
    assert len(results[:1] + again) == 3
    assert "toy 32×32" in repr(results[:1] + again)


def test_words_that_contradict_are_refused(cache: Path) -> None:
    model = genbench.open_model("toy", resolution=32, device="cpu")
    for wrong, said in (
        (lambda: evaluate(cache, model, samples=pictures()), "name what is measured once"),
        (lambda: evaluate(cache, "toy", reuse=True), "name it with records="),
        (lambda: genbench.throughput(model), "throughput opens models itself"),  # type: ignore[arg-type]
        (lambda: genbench.build_table("bundled", "x.jsonl"), "genbench.read_records"),  # type: ignore[arg-type]
    ):
        with pytest.raises(genbench.UsageError, match=said):
            wrong()


def test_a_protocol_of_ones_own_is_told_by_its_digest_and_reference(cache: Path) -> None:
    own = genbench.EvalProtocol(
        name="own", detector="efficientnet-lite0", reference="bundled[:120]", resolution=32
    )
    asked: dict[str, Any] = {"protocol": own, "metrics": "fd", "counts": 60}
    (found,) = evaluate(cache, "toy", resolution=32, **asked, reference="")
    (other,) = evaluate(cache, "toy", resolution=32, **asked, reference="bundled[120:240]")
    assert found.reference == "bundled[:120]"  # as the protocol spells it: a table knows it again
    assert other.reference == "bundled[120:240]"
    assert found.protocol_digest == own.digest()


def test_speed_has_the_same_door(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    results = genbench.throughput(
        model="toy", resolution=32, batches=4, seconds=0.05, gpu="v100", device="cpu",
        records=path, reporter=SilentReporter(),
    )  # fmt: skip
    assert {record.metric for record in results} == {"throughput", "latency", "peak_memory"}
    assert "images/s" in repr(results)
    assert "<table>" in results._repr_html_()
    assert results.to_frame()["batch"][0] == 4
    assert list(genbench.read_records(path)) == list(results)


def test_a_table_is_built_from_records() -> None:
    table = genbench.build_table("bundled", genbench.read_records("docs/bundled-records.jsonl"))
    assert "| HiT |" in table.to_markdown()
    assert "\\toprule" in table.to_latex()
    assert "HiT" in repr(table)
    assert "<caption" in table._repr_html_()
    frame = table.to_frame()
    assert set(frame["row"]) == {"HiT", "BigGAN-deep", "ADM-G", "EMD"}
    assert frame["measured"].notna().sum() > 20
    with pytest.raises(genbench.UsageError, match="did you mean bundled"):
        genbench.build_table("bundeld")
    with pytest.raises(genbench.UsageError, match="no record file"):
        genbench.read_records("nowhere.jsonl")


def test_the_package_comes_at_once_and_knows_its_names() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import genbench; "
        "took = time.perf_counter() - start; "
        "heavy = [m for m in ('torch', 'numpy', 'pandas', 'pydantic') if m in sys.modules]; "
        "assert not heavy, heavy; assert took < 0.1, took; "
        "missing = [n for n in genbench.__all__ if not hasattr(genbench, n)]; "
        "assert not missing, missing; assert set(genbench.__all__) <= set(dir(genbench)); "
        "from genbench import evaluate, ModelCard; import genbench.api"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    with pytest.raises(AttributeError, match="no attribute 'fid'"):
        genbench.fid  # noqa: B018
