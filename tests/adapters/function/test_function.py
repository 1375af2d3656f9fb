"""A stranger's function as a model: measured like any other, and every slip told in one line."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_records import made
from PIL import Image
from safetensors.torch import save_file
from strangers import error_line, genbench

from genbench.api import open_model
from genbench.errors import GenbenchError, UsageError
from genbench.models.naming import opened_by
from genbench.models.reopening import reopened
from genbench.models.source import ModelSource

SOURCE = """
import os
import random

import numpy as np
import torch
from torch import nn

from beside import SIDE

def draw(labels, noise):
    return noise.normal((3, SIDE, SIDE))

def of_classes(noise, labels):
    return (noise.uniform((3, 16, 16)) + labels[:, None, None, None]) / 10

def flow(z):
    return z.reshape(-1, 3, 16, 16).sigmoid()

def grey_last(labels, noise):
    return (noise.uniform((16, 16, 1)) * 255).to(torch.uint8).numpy()

def batches(seed):
    stream = np.random.default_rng(seed)
    for _ in range(6):
        yield stream.integers(0, 256, (7, 3, 16, 16)).astype(np.uint8)

class Net(nn.Module):
    def __init__(self, device=None):
        super().__init__()
        self.up = nn.Linear(8, 3 * 16 * 16)
        self.norm = nn.BatchNorm2d(3)
    def forward(self, z):
        return torch.tanh(self.norm(self.up(z).reshape(-1, 3, 16, 16)))

class Scaled:
    def __init__(self, checkpoint, dtype):
        self.scale, self.dtype = float(checkpoint.read_text()), dtype
    def sample(self, labels, noise):
        return (noise.uniform((3, 16, 16)) * self.scale).to(self.dtype)

def leaning(labels, noise):
    x = noise.normal((3, 16, 16))
    return x - x.mean(0)

def raises(labels, noise):
    values = {}
    return values["missing"]

def as_tensor(labels, noise):
    return noise + 1

def nan(labels, noise):
    return noise.normal((3, 16, 16)) / 0

def short(labels, noise):
    return noise.normal((3, 16, 16))[1:]

def oblong(labels, noise):
    return noise.normal((3, 16, 24))

def latents(labels, noise):
    return noise.normal((4, 16, 16))

def count(n):
    return torch.rand(n, 3, 16, 16)

def plain(x):
    return x

def nothing():
    return torch.zeros(4, 3, 16, 16)

class Needy:
    def __init__(self, path):
        self.path = path

NUMBER = 3

def unseeded():
    stream = [random.random(), np.random.rand()]
    while True:
        stream.append(random.random() + np.random.rand())
        yield (torch.rand(3, 3, 16, 16) + sum(stream)) % 1

def emptying():
    while True:
        yield torch.zeros(0, 3, 16, 16, dtype=torch.uint8)

class Own(BaseException):
    pass

def own(labels, noise):
    raise Own("so it is")

def of_defaults(labels, noise):
    assert torch.get_default_dtype() is (torch.float64 if calls else torch.float32)
    calls.append(1)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    return noise.uniform((3, 16, 16))

calls = []

def forking(labels, noise):
    os.fork()
    return noise.uniform((3, 16, 16))

def talking(labels, noise):
    print("of its own")
    return noise.uniform((3, 16, 16))

def energy(z):
    with torch.enable_grad():
        z.requires_grad_()
        return torch.autograd.grad(z.square().sum(), z)[0].reshape(-1, 3, 16, 16)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("SIDE = 16\n")
    (tmp_path / "gen.py").write_text(SOURCE)
    return tmp_path / "gen.py"


def opened(file: Path, name: str, resolution: int = 0, **options: str | int | bool) -> ModelSource:
    return open_model(f"{file}:{name}", options=options, device="cpu", block=4,
                      resolution=resolution)  # fmt: skip


def images(source: ModelSource, start: int, stop: int) -> torch.Tensor:
    return torch.cat(list(source.images(start, stop)))


def test_floats_of_a_stated_range_become_grey_levels(file: Path) -> None:
    source = opened(file, "draw", range="-1,1")
    expected = source.noise(0, 8).normal((3, 16, 16)) * 127.5 + 128
    assert source.size == (16, 16)  # found from the first images
    assert torch.equal(images(source, 0, 8), expected.clamp(0, 255).to(torch.uint8))


def test_labels_go_to_the_parameter_of_that_name(file: Path) -> None:
    source = opened(file, "of_classes", range="0,1", classes=9)
    labels = source.labels(0, 8)
    assert labels is not None
    brightness = images(source, 0, 8).float().mean((1, 2, 3)) / 25.5 - 0.5
    assert torch.equal(brightness.round().long(), labels)


def test_a_latent_is_normal_numbers_of_its_shape(file: Path) -> None:
    flat = images(opened(file, "flow", latent="768", range="0,1"), 0, 4)
    assert torch.equal(flat, images(opened(file, "flow", latent="3,16,16", range="0,1"), 0, 4))
    assert 100 < flat.float().mean() < 155


def test_grey_arrays_with_channels_last_are_repeated(file: Path) -> None:
    drawn = images(opened(file, "grey_last"), 0, 4)
    assert drawn.shape == (4, 3, 16, 16)
    assert torch.equal(drawn[:, 0], drawn[:, 2])


def test_batches_are_read_in_order_whatever_is_asked_for(file: Path) -> None:
    source = opened(file, "batches")
    stream = np.random.default_rng(0)
    whole = np.concatenate([stream.integers(0, 256, (7, 3, 16, 16)) for _ in range(6)])
    assert np.array_equal(images(source, 20, 30).numpy(), whole[20:30])
    assert np.array_equal(images(source, 3, 9).numpy(), whole[3:9])  # begun again
    assert "in order" in source.told
    with pytest.raises(GenbenchError, match=r"ended after 42 images.* -n 42 --block 21"):
        images(source, 40, 44)
    assert not torch.equal(images(source.asked_otherwise(seed=1), 0, 4), images(source, 0, 4))


def test_batches_drawn_without_a_seed_begin_from_the_runs(file: Path) -> None:
    first = images(opened(file, "unseeded", range="0,1"), 0, 12)
    torch.rand(1), np.random.rand(), random.random()
    before = torch.get_rng_state(), random.getstate()
    again = opened(file, "unseeded", range="0,1")
    parts = [images(again, 0, 4), images(again, 4, 8), images(again, 8, 12)]
    assert torch.equal(torch.cat(parts), first)
    assert torch.equal(images(again, 2, 5), first[2:5])  # begun again
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert not torch.equal(images(again.asked_otherwise(seed=1), 0, 12), first)


def test_torchs_defaults_are_the_functions_own(file: Path) -> None:
    images(opened(file, "of_defaults", range="0,1"), 0, 8)
    assert torch.get_default_dtype() is torch.float32
    assert torch.zeros(1).device.type == "cpu"


def test_a_process_that_a_function_forks_ends_there(file: Path) -> None:
    drawn = file.with_name("drawn")
    source = opened(file, "forking", range="0,1", resolution=16)
    images(source, 0, 4)
    with drawn.open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    os.wait()
    assert drawn.read_text() == f"{os.getpid()}\n"


def test_what_a_function_prints_stays_off_stdout(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + "print('at the import')\n")
    images(opened(file, "talking", range="0,1"), 0, 4)
    told = capsys.readouterr()
    assert not told.out
    assert {"of its own", "at the import"} <= set(told.err.splitlines())


def test_a_function_may_use_gradients(file: Path) -> None:
    source = opened(file, "energy", latent="768", range="-8,8")
    wanted = source.noise(0, 4).normal((768,)) * 2 * 127.5 / 8 + 128
    drawn = images(source, 0, 4).flatten(1).int()
    assert int((drawn - wanted.clamp(0, 255).to(torch.uint8).int()).abs().max()) <= 1


def test_a_module_is_evaluated_with_weights_that_are_the_same_each_time(file: Path) -> None:
    net: dict[str, Any] = {"latent": "8", "range": "-1,1"}
    one = images(opened(file, "Net", **net), 0, 4)
    torch.manual_seed(5)
    again = opened(file, "Net", **net)
    assert torch.equal(images(again, 0, 4), one)
    assert torch.equal(images(again.asked_otherwise(block=1), 0, 4), one)  # no batch statistics


def test_a_checkpoint_goes_into_a_module_or_to_who_takes_it(file: Path, tmp_path: Path) -> None:
    from torch import nn

    state = nn.ModuleDict({"up": nn.Linear(8, 768), "norm": nn.BatchNorm2d(3)}).state_dict()
    save_file(
        {key: torch.zeros_like(value) for key, value in state.items()}, tmp_path / "w.safetensors"
    )
    net: dict[str, Any] = {"latent": "8", "range": "-1,1"}
    loaded = open_model(
        f"{file}:Net", options=net, checkpoint=tmp_path / "w.safetensors", device="cpu"
    )
    assert (images(loaded, 0, 2) == 128).all()
    (tmp_path / "scale.txt").write_text("0.5")
    scaled = open_model(f"{file}:Scaled", options={"range": "0,1"}, device="cpu", resolution=16,
                        checkpoint=tmp_path / "scale.txt", dtype="bfloat16")  # fmt: skip
    assert images(scaled, 0, 4).max() <= 128
    assert scaled.subject().checkpoint == "scale.txt"
    with pytest.raises(UsageError, match="takes no checkpoint"):
        open_model(f"{file}:draw", options={"range": "-1,1"}, checkpoint=tmp_path / "scale.txt",
                   resolution=16)  # fmt: skip


def test_the_code_is_part_of_what_a_sample_is(file: Path) -> None:
    before = opened(file, "draw", range="-1,1").digest()
    assert opened(file, "draw", range="-1,1").digest() == before
    beside = file.with_name("beside.py")
    beside.write_text("SIDE = 8 * 2\n")
    assert opened(file, "draw", range="-1,1").digest() != before
    beside.write_text("SIDE = 16\n")
    assert opened(file, "draw", range="-1,1").digest() == before


def test_a_link_is_the_file_that_it_leads_to(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "gen.py"
    link.symlink_to(file)
    before = opened(link, "draw", range="-1,1", resolution=16).digest()
    file.with_name("beside.py").write_text("SIDE = 8 * 2\n")
    assert opened(link, "draw", range="-1,1", resolution=16).digest() != before


def test_a_function_of_an_installed_module_needs_no_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    source = open_model("gen:draw", options={"range": "-1,1"}, device="cpu", block=4)
    assert torch.equal(images(source, 0, 4), images(opened(file, "draw", range="-1,1"), 0, 4))


def test_a_function_is_checked_and_told_how_not_to_depend_on_its_batch(file: Path) -> None:
    run = genbench("check", f"{file}:leaning", "--range=-4,4")
    assert run.returncode == 1
    assert "eval mode" in run.stdout
    assert "--one-by-one true" in run.stdout
    good = genbench("check", f"{file}:flow", "--range=0,1", "--latent", "768")
    assert "can be opened" in good.stdout
    assert not any(word in good.stdout for word in ("dataclass", "offers", "BringsCode"))
    assert good.returncode == 0, good.stdout


def test_it_is_sampled_listed_and_completed(file: Path, tmp_path: Path) -> None:
    run = genbench("sample", "--model", f"{file}:draw", "--range", "-1,1", "-n", "9", "--out",
                   tmp_path / "grid.png", "--cache", tmp_path / "cache")  # fmt: skip
    assert run.returncode == 0, run.stderr
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size[0] >= 48
    assert "--one-by-one" in genbench("ls", f"{file}:draw").stdout
    assert "function:FILE.py:NAME" in genbench("ls", "models").stdout


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("raises", (), "gen.py:48: KeyError: 'missing'"),
        ("as_tensor", (), "noise is a genbench.NoiseStream and no tensor"),
        ("of_classes", (), "say how many classes there are, --classes 10"),
        ("nan", ("--range=0,1",), "NaN or infinity in 2 of 2 images"),
        ("draw", (), "float32 images, here from"),
        ("draw", ("--range=1,0",), "black is below white"),
        ("draw", ("--range=-1,1", "--res", "32"), "16×16 where 32×32 are wanted: pass --res 16"),
        ("short", ("--range=-1,1",), "1 images for 2 samples"),
        ("oblong", ("--range=-1,1",), "square images"),
        ("latents", ("--range=-1,1",), "--decode vae:PATH"),
        ("count", (), "sample i depends on (seed, i) alone, or yield batches"),
        ("plain", (), "takes x: name its parameters labels and noise, or pass --latent"),
        ("flow", (), "say how many normal numbers a sample, --latent 128"),
        ("flow", ("--latent", "3,0"), "--latent 3,0: write 128"),
        ("draw", ("--latent", "3"), "takes no z: leave out --latent"),
        ("nothing", (), "yield batches of images"),
        ("emptying", (), "gave a batch of no images"),
        ("own", (), "Own: so it is"),
        ("Needy", (), "takes path, which nothing gives it"),
        ("NUMBER", (), "is a int: name a function"),
        ("drew", (), "there is no drew; did you mean draw?"),
        ("", (), "name the function too"),
    ],
)
def test_a_slip_is_one_line_with_the_remedy(
    file: Path, tmp_path: Path, name: str, options: tuple[str, ...], told: str
) -> None:
    run = genbench("sample", "--model", f"{file}:{name}", "-n", "4", "--out", tmp_path / "o.png",
                   "--cache", tmp_path, *options)  # fmt: skip
    assert told in error_line(run)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (\n", "broken.py:1: SyntaxError"),
        ("\nimport not_there\n", "broken.py:2: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "broken.py:1: SystemExit: 3"),
        ("raise BaseException('odd')\n", "broken.py:1: BaseException: odd"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    run = genbench(
        "sample", "--model", f"{tmp_path}/broken.py:f", "-n", "1", "--out", tmp_path / "o.png"
    )
    assert told in error_line(run)


@pytest.mark.parametrize(
    ("name", "opener"),
    [
        ("hit", ("", "hit")), ("gen.py:f", ("function", "gen.py:f")),
        ("function:a.b:f", ("function", "a.b:f")), ("a.b:f", ("function", "a.b:f")),
    ],
)  # fmt: skip
def test_names_say_what_opens_them(name: str, opener: tuple[str, str]) -> None:
    assert opened_by(name) == opener


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("function", "--model function:FILE.py:NAME"),
        ("function:", "names no model"),
        ("not_there.mod:f", "there is no module not_there"),
        ("not/there.py:f", "there is no file not/there.py"),
        ("hitt", "did you mean hit?"),
    ],
)
def test_names_of_nothing_are_one_line(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("(", r"\(").replace("?", r"\?")):
        open_model(name)


def test_a_record_opens_it_again_unless_its_code_changed(file: Path) -> None:
    source = opened(file, "flow", latent="768", range="0,1")
    record = replace(made(f"{file}:flow", "fd", 1.0), **vars(source.subject()))
    again = reopened(record, torch.device("cpu"))
    assert torch.equal(images(again, 0, 4), images(source, 0, 4))
    file.write_text(file.read_text() + "# more\n")
    with pytest.raises(GenbenchError, match="has changed since the run"):
        reopened(record, torch.device("cpu"))
