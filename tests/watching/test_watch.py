"""`genbench watch`: checkpoints of a training, measured as they appear."""

from __future__ import annotations

import errno
import itertools
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from strangers import error_line, genbench, install
from tiny_detector import afar
from torch import Tensor, nn

import genbench as package
from genbench import GenbenchError, QualityRecord
from genbench.images.npz_writing import write_samples
from genbench.models.opening import ModelRequest, resolve
from genbench.quality.request import Job, QualityRequest
from genbench.records.protocols import find_protocol
from genbench.records.store import read_records
from genbench.runtime.distributed import World
from genbench.runtime.progress import SilentReporter
from genbench.watching import watch as watching
from genbench.watching.arrivals import (
    PICTURES,
    SETTLED,
    WEIGHTS,
    Arrival,
    Settling,
    arrivals,
    step_of,
)
from genbench.watching.curve import sparkline
from genbench.watching.watch import Watch, watched

IMAGES = package.open_images("bundled[:120]").read(0, 120)
PACKAGE = '''
from dataclasses import dataclass
from typing import ClassVar

import torch
from safetensors.torch import load_file

from genbench import CheckpointSource, ModelCard, to_uint8


@dataclass(frozen=True)
class Plain:
    """One layer."""

    scale: float = 1.0
    cards: ClassVar = (
        ModelCard(
            name="plain-32", resolution=32, license="MIT",
            checkpoint=CheckpointSource(filename="plain.safetensors"),
        ),
    )

    def load(self, card, checkpoint, device, dtype):
        return Drawn(load_file(checkpoint), self.scale)


class Drawn:
    concurrent = True

    def __init__(self, weights, scale):
        self.weights, self.scale = weights, scale

    def sample(self, labels, noise):
        z = self.scale * noise.normal((12,))
        x = (z @ self.weights["weight"].T + self.weights["bias"]).tanh()
        return to_uint8(x.view(-1, 3, 32, 32))
'''
ASKED = ("--model", "one-layer", "--res", "32", "-n", "60", "--metric", "fd,recall",
         "--protocol", "bundled", "--ref", "bundled[120:240]")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """The weights of one layer along a training on the bundled images, every 40 steps."""
    torch.manual_seed(0)
    network = nn.Linear(12, 3 * 32 * 32)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    wanted = afar_moments(IMAGES / 127.5 - 1)
    kept = []
    for step in range(120):
        if step % 40 == 0:
            kept.append({name: held.detach().clone() for name, held in network.named_parameters()})
        own = afar_moments(network(torch.randn(64, 12)).tanh().view(-1, 3, 32, 32))
        loss = sum((a - b).square().sum() for a, b in zip(own, wanted, strict=True))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
    return kept


def afar_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    rows = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
    return rows.mean(0), torch.cov(rows.T)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package installed, a cheap detector, and a folder `runs` for checkpoints."""
    install(tmp_path / "site", "one-layer", "one-layer", PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr("genbench.quality.reading.create_detector", afar)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENBENCH_RECORDS", str(tmp_path / "records.jsonl"))
    (tmp_path / "runs").mkdir()
    return tmp_path


def written(place: Path, weights: dict[str, Tensor], step: int) -> Path:
    path = place / "runs" / f"ema-{step:05}.safetensors"
    save_file(weights, path)
    return path


def measured_there(place: Path) -> list[QualityRecord]:
    found = read_records(place / "records.jsonl")
    return [record for record in found if isinstance(record, QualityRecord)]


def a_watch(place: Path, **more: Any) -> Watch:
    request = QualityRequest(
        protocol=find_protocol("bundled"), reference="bundled[120:240]", counts=(60,),
        metrics=("fd",), cache=place / "cache",
    )  # fmt: skip
    job = Job(request, World(), torch.device("cpu"), SilentReporter())
    model = resolve(ModelRequest(name="one-layer", resolution=32))
    return Watch((str(place / "runs"),), model, job, place / "records.jsonl", **more)


def test_checkpoints_of_a_training_are_measured_once_in_their_order(
    place: Path, trained: list[dict[str, Tensor]]
) -> None:
    for number, weights in reversed(list(enumerate(trained))):
        written(place, weights, 40 * number)
    (place / "runs" / "state.pt").write_bytes(b"no weights")
    damaged = place / "runs" / "ema-00100.safetensors"
    damaged.write_bytes(b"cut short")
    os.utime(damaged, (1e9, 1e9))
    curve = place / "curve.svg"
    run = genbench("watch", place / "runs", *ASKED, "--ci", "--once", "--plot", curve)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        f"ema-{step:05}.safetensors" for step in (0, 40, 80)
    ]
    assert "best so far" in lines[2]
    assert "(" in lines[0]  # the interval
    table = next(line for line in lines[3:] if "ema-00080" in line)
    assert table.strip("│ ").startswith("80 ")
    assert table.strip("│ ").endswith(" best")
    assert "█" in lines[-1]
    told = [line for line in run.stderr.splitlines() if "left out" in line]
    assert len(told) == 1
    assert told[0].startswith("note: ema-00100.safetensors left out until it changes: ")
    records = [record for record in measured_there(place) if record.metric == "fd"]
    assert [record.step for record in records] == [0, 40, 80]
    assert len({record.checkpoint_digest for record in records}) == 3
    assert records[-1].checkpoint == "ema-00080.safetensors"
    assert records[-1].value < 0.7 * records[0].value
    assert "FD along the training" in curve.read_text()
    assert "best at step 80" in curve.read_text()

    written(place, trained[2], 100)  # whole now: the same weights as at step 80
    again = genbench("watch", place / "runs", *ASKED, "--ci", "--once", "--json")
    steps = [json.loads(line)["step"] for line in again.stdout.splitlines()]
    assert len(steps) == 8
    assert len(measured_there(place)) == 6  # what is on record is not measured again
    assert again.stderr.count("on record already") == 4


def test_the_figures_are_those_of_fid(place: Path, trained: list[dict[str, Tensor]]) -> None:
    path = written(place, trained[1], 40)
    genbench("watch", path, *ASKED, "--scale", "0.5", "--once")
    genbench("fid", *ASKED, "--scale", "0.5", "--checkpoint", path)
    first, *_, last = measured_there(place)
    assert first.options["scale"] == 0.5
    by_watch, by_fid = ([r.value for r in measured_there(place)][part] for part in
                        (slice(0, 2), slice(2, 4)))  # fmt: skip
    assert by_watch == by_fid
    assert (first.samples_digest, first.step) == (last.samples_digest, 40)
    assert last.step is None


def test_new_checkpoints_are_waited_for_up_to_a_step(
    place: Path, trained: list[dict[str, Tensor]]
) -> None:
    coming = iter(enumerate(trained))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        number, weights = next(coming)
        written(place, weights, 40 * number)

    watch = a_watch(place, until=40)
    points = list(watched(watch, every=7, sleep=sleep))
    assert isinstance(watch.job.reporter, SilentReporter)
    assert watch.job.reporter.notes[0] == f"no checkpoint in {place / 'runs'} yet: waiting"
    assert [point.step for point in points] == [0, 40]
    assert slept == [7, 7]


def test_a_file_that_is_being_written_is_looked_at_soon_and_measured_when_it_is_whole(
    place: Path, trained: list[dict[str, Tensor]]
) -> None:
    path = written(place, trained[0], 0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        path.write_bytes(whole)

    watch = a_watch(place)
    points = list(watched(watch, every=60, once=True, sleep=sleep))
    assert slept == [1]
    assert len(points) == 1
    assert not watch.refused


def test_what_is_no_checkpoints_fault_ends_it(
    place: Path, trained: list[dict[str, Tensor]]
) -> None:
    written(place, trained[0], 0)
    run = genbench("watch", place / "runs", *ASKED[:-1], "nowhere", "--once")
    assert "nowhere" in error_line(run)
    assert run.returncode == 2


def test_ctrl_c_shows_the_curve_so_far(
    place: Path, trained: list[dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place, trained[0], 0)

    def interrupted(watch: Watch, **asked: Any) -> Iterator[Any]:
        yield from itertools.islice(watched(watch, **asked), 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "watched", interrupted)
    run = genbench("watch", place / "runs", *ASKED)
    assert run.returncode == 130
    assert "the same command resumes" in error_line(run)
    assert run.stdout.count("ema-00000.safetensors") == 2  # when it was measured, and in the table
    assert len(measured_there(place)) == 2


def test_samples_that_a_training_writes_are_checkpoints_too(place: Path) -> None:
    for step, shift in ((10, 90), (5, 60)):
        write_samples(place / "runs" / f"step{step}.npz", [(IMAGES[:60] // 2 + shift)], 60, None)
    run = genbench("watch", place / "runs", "--samples", "--protocol", "bundled", "--ref",
                   "bundled[120:240]", "--metric", "fd", "--once")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert [(record.step, record.model) for record in measured_there(place)] == [
        (5, "step5.npz"), (10, "step10.npz")
    ]  # fmt: skip


def test_a_damaged_picture_is_its_checkpoints_fault_alone(place: Path) -> None:
    for step in (1, 2, 3):
        for number, picture in enumerate(IMAGES[step : step + 4]):
            path = place / "runs" / f"step{step}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)
            if (step, number) == (2, 3):
                path.write_bytes(path.read_bytes()[:-100])
            os.utime(path, (1e9, 1e9))
    run = genbench("watch", place / "runs", "--samples", "--protocol", "bundled", "--ref",
                   "bundled[120:140]", "--metric", "fd", "--once")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "note: step2 left out until it changes: " in run.stderr
    assert [record.step for record in measured_there(place)] == [1, 3]


def test_a_full_disk_is_no_checkpoints_fault(
    place: Path, trained: list[dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place, trained[0], 0)

    def full(*_: Any) -> None:
        raise GenbenchError("cannot write") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watching, "measured", full)
    with pytest.raises(GenbenchError, match="cannot write"):
        list(a_watch(place).look())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name the checkpoints"),
        (("runs",), "--model NAME"),
        (("runs", "--model", "toy", "--samples"), "--model NAME"),
        (("runs", "--model", "toi"), "did you mean toy"),
        (("runs", "--model", "toy", "--every", "soon"), "--every soon is no time"),
        (("runs", "--model", "toy", "--every", "0"), "--every 0 is no time"),
        (("runs", "--model", "toy", "--every", "999999999999999h"), "more than a year"),
        (("runs", "--model", "toy", "--plot", "curve.gif"), "end it in .svg"),
        (("runs", "--model", "toy", "--untill", "3"), "--until"),
        (("runs", "--model", "toy", "--metric", "fdd"), "no metric fdd"),
        (("nowhere/*.pt", "--model", "toy", "--once"), "check the path"),
    ],
)
def test_bad_words_are_one_line(place: Path, words: tuple[str, ...], told: str) -> None:
    assert told in error_line(genbench("watch", *words, cwd=place))


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("hit-000100.safetensors", 100),
        ("epoch=3-step=1200.ckpt", 1200),
        ("step=1200-epoch=3.ckpt", 1200),
        ("network-snapshot-025000.pkl", 25000),
        ("edm2-img512-xs-2147483-0.135.pkl", 2147483),
        ("checkpoint-500/model.safetensors", 500),
        ("iter_7/ema.pt", 7),
        ("model.1000.pt", 1000),
        ("latest.pt", None),
        ("run3/latest.pt", None),
    ],
)
def test_the_step_is_read_from_the_name(name: str, step: int | None) -> None:
    assert step_of(Path("runs") / name) == step


def test_a_folder_gives_its_weights_in_the_order_of_the_training(tmp_path: Path) -> None:
    for name in ("b-20.pt", "a-3.safetensors", "last.pt", "optimizer-3.pt", "config.json",
                 ".c-1.pt.tmp", "checkpoint-7/model.safetensors", "logs/log.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [item.path.name for item in arrivals([str(tmp_path)], WEIGHTS)]
    assert found == ["a-3.safetensors", "checkpoint-7", "b-20.pt", "last.pt"]
    pattern = [item.path.name for item in arrivals([str(tmp_path / "*.pt")], WEIGHTS)]
    assert pattern == ["optimizer-3.pt", "b-20.pt", "last.pt"]
    assert not arrivals([str(tmp_path / "logs")], PICTURES)
    assert not arrivals([str(tmp_path / "nowhere")], WEIGHTS)


def test_a_header_of_nothing_but_brackets_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    path.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
    [arrival] = arrivals([str(path)], WEIGHTS)
    assert not Settling(clock=lambda: path.stat().st_mtime).whole(arrival)


def test_a_file_that_does_not_say_its_length_must_stand_still(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    path.write_bytes(b"x" * 50)
    now = 2e9
    os.utime(path, (now, now))
    [arrival] = arrivals([str(path)], WEIGHTS)
    clock = iter([now, now + SETTLED / 2, now + SETTLED])
    settling = Settling(clock=lambda: next(clock))
    assert [settling.whole(arrival) for _ in range(3)] == [False, False, True]
    torch.save({"a": torch.zeros(3)}, tmp_path / "new.pt")
    [arrival] = arrivals([str(tmp_path / "new.pt")], WEIGHTS)
    assert Settling(clock=lambda: 0.0).whole(arrival)
    grown = Arrival(path, None, (1, 60, int((now + 5) * 1e9)))
    clock = iter([now, now + SETTLED, now + SETTLED + 5])
    settling = Settling(clock=lambda: next(clock))
    assert [settling.whole(item) for item in (arrivals([str(path)], WEIGHTS)[0], grown)] == [
        False, False
    ]  # fmt: skip
    assert settling.whole(grown)


def test_a_sparkline_has_eight_heights() -> None:
    assert sparkline([3.0]) == ""
    assert sparkline([0, 7, 3.5]) == "▁█▅"
    assert sparkline([2, 2]) == "▁▁"


def test_a_watch_refuses_a_record_file_that_is_none(place: Path) -> None:
    (place / "records.jsonl").write_text("something else\n")
    with pytest.raises(GenbenchError, match="something else than records"):
        a_watch(place)
