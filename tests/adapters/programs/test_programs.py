"""ONNX files and programs of torch.export draw what the module draws that they were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from strangers import error_line, genbench
from tiny_pipelines import tiny_vae
from torch import nn

from genbench.api import open_model
from genbench.errors import GenbenchError, UsageError
from genbench.models.source import ModelSource

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grow, self.embed = nn.Linear(8, 3 * 16 * 16), nn.Embedding(5, 8)

    def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.grow(z + self.embed(y))).reshape(-1, 3, 16, 16)


@pytest.fixture(scope="module")
def net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


@pytest.fixture(scope="module")
def files(net: Net, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("programs")
    example = (torch.zeros(2, 8), torch.zeros(2, dtype=torch.int64))
    free = {"z": {0: torch.export.Dim("n")}, "y": {0: torch.export.Dim("n")}}
    found = {name: folder / name for name in ("any.pt2", "two.pt2", "any.onnx")}
    torch.export.save(torch.export.export(net, example, dynamic_shapes=free), found["any.pt2"])
    torch.export.save(torch.export.export(net, example), found["two.pt2"])
    onnx.save(_onnx(net), found["any.onnx"], save_as_external_data=True, location="any.data",
              size_threshold=100)  # fmt: skip
    return found


def _onnx(net: Net) -> Any:
    """The module's graph written by hand, since torch's exporter needs another library."""
    make, kinds = onnx.helper, onnx.TensorProto
    held = {
        "w": net.grow.weight.detach().T.contiguous(), "b": net.grow.bias.detach(),
        "e": net.embed.weight.detach(), "shape": torch.tensor([-1, 3, 16, 16]),
    }  # fmt: skip
    steps = [
        ("Gather", "e y", "0"), ("Add", "z 0", "1"), ("MatMul", "1 w", "2"), ("Add", "2 b", "3"),
        ("Tanh", "3", "4"), ("Reshape", "4 shape", "out"),
    ]  # fmt: skip
    graph = make.make_graph(
        [make.make_node(kind, given.split(), [out]) for kind, given, out in steps], "net",
        [make.make_tensor_value_info("z", kinds.FLOAT, ["n", 8]),
         make.make_tensor_value_info("y", kinds.INT64, ["n"])],
        [make.make_tensor_value_info("out", kinds.FLOAT, ["n", 3, 16, 16])],
        [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in held.items()],
    )  # fmt: skip
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)


def opened(path: Path, **options: str | int | bool) -> ModelSource:
    own: dict[str, str | int | bool] = {"trust": True} if path.suffix == ".pt2" else {}
    return open_model(str(path), options={"classes": 5, "range": "-1,1", **own, **options},
                      device="cpu", block=3)  # fmt: skip


@pytest.mark.parametrize("name", ["any.pt2", "two.pt2", "any.onnx"])
def test_a_program_draws_what_its_module_draws(files: dict[str, Path], net: Net, name: str) -> None:
    source = opened(files[name])
    labels = source.labels(0, 6)
    with torch.no_grad():
        own = net(source.noise(0, 6).normal((8,)), labels)
    drawn = torch.cat(list(source.images(0, 6)))
    wanted = (own * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    assert source.size == (16, 16)
    assert int((drawn.int() - wanted.int()).abs().max()) <= 1
    assert (drawn == wanted).float().mean() > 0.99


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_a_program_may_give_latents(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("diffusers")
    vae = tiny_vae()
    vae.save_pretrained(tmp_path / "vae")
    path = tmp_path / f"latents.{ending}"
    if ending == "pt2":
        torch.export.save(torch.export.export(nn.Tanh(), (torch.zeros(2, 4, 8, 8),)), path)
    else:
        make, side = onnx.helper, [2, 4, 8, 8]
        told = [make.make_tensor_value_info(name, 1, side) for name in ("z", "out")]
        graph = make.make_graph([make.make_node("Tanh", ["z"], ["out"])], "net", told[:1], told[1:])
        onnx.save(
            make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), path
        )
    decode = f"vae:{tmp_path / 'vae'}"
    source = opened(path, classes=0, range="", decode=decode)
    drawn = torch.cat(list(source.images(0, 3)))
    with torch.no_grad():
        latents = source.noise(0, 3).normal((4, 8, 8)).tanh()
        own = vae.decode(latents / vae.config.scaling_factor).sample
    wanted = (own * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    assert source.size == (16, 16)
    assert int((drawn.int() - wanted.int()).abs().max()) <= 1
    assert "#sha256=" in str(source.subject().options["decode"])
    with pytest.raises(UsageError, match="has images of 16 pixels: leave out --res"):
        open_model(str(path), resolution=32, options={"trust": True, "decode": decode}
                   if ending == "pt2" else {"decode": decode})  # fmt: skip


def test_every_random_input_has_its_own_numbers(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            return torch.stack([z.clamp(0, 1), w, w], dim=1)

    path = tmp_path / "two.pt2"
    torch.export.save(
        torch.export.export(Two(), (torch.zeros(3, 8, 8), torch.zeros(3, 8, 8))), path
    )
    source = opened(path, classes=0, range="0,1", input="w=uniform")
    drawn = torch.cat(list(source.images(0, 3)))
    assert 0.4 < (drawn[:, 0] == 0).float().mean() < 0.6  # half of normal numbers
    assert (drawn[:, 1] == 0).float().mean() < 0.05


@pytest.mark.parametrize("place", ["any.data", "sub/any.data", f"{'long' * 40}/any.data"])
def test_tensors_outside_an_onnx_file_are_part_of_it(net: Net, tmp_path: Path, place: str) -> None:
    data = tmp_path / place
    data.parent.mkdir(exist_ok=True)
    onnx.save(_onnx(net), tmp_path / "any.onnx", save_as_external_data=True, location=place,
              size_threshold=100)  # fmt: skip
    before = opened(tmp_path / "any.onnx").spec.checkpoint_digest
    assert opened(tmp_path / "any.onnx").spec.checkpoint_digest == before
    held = bytearray(data.read_bytes())
    held[0] ^= 1
    data.write_bytes(held)
    assert opened(tmp_path / "any.onnx").spec.checkpoint_digest != before


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("any.onnx", (), "say how many classes there are, --classes 10"),
        ("any.onnx", ("--classes", "5"), "say what is black and white, --range=-1,1"),
        ("any.onnx", ("--input", "zz=normal"), "did you mean z?"),
        ("any.onnx", ("--input", "z=norml"), "did you mean normal?"),
        ("any.onnx", ("--input", "z"), "write NAME=KIND"),
        ("any.onnx", ("--classes", "5", "--res", "32"), "images of 16 pixels: leave out --res"),
        ("any.onnx", ("--classes", "5", "--dtype", "bfloat16"), "has its own arithmetic"),
        ("any.pt2", ("--classes", "5"), "can run code that a hostile file holds: pass --trust"),
        ("none.onnx", (), "there is no file"),
    ],
)
def test_a_slip_is_one_line_with_the_remedy(
    files: dict[str, Path], tmp_path: Path, name: str, options: tuple[str, ...], told: str
) -> None:
    path = files["any.onnx"].with_name(name)
    run = genbench("sample", "--model", path, "-n", "1", "--out", tmp_path / "o.png",
                   "--cache", tmp_path, *options)  # fmt: skip
    assert told in error_line(run)


@pytest.mark.parametrize("name", ["cut.onnx", "cut.pt2"])
def test_a_damaged_file_is_one_line(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    whole = files[name.replace("cut", "any")].read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GenbenchError, match="cannot be loaded"):
        opened(tmp_path / name)


def test_labels_of_no_input_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "flat.pt2"
    flat = nn.Sequential(nn.Linear(4, 192), nn.Unflatten(1, (3, 8, 8)))
    torch.export.save(torch.export.export(flat, (torch.zeros(2, 4),)), path)
    with pytest.raises(UsageError, match="no input is labels: leave out --classes"):
        opened(path)
