"""HiT: sizes, variables, blocking, attention by hand, TensorFlow checkpoints and bad ones."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hit_files import (
    CONFIG,
    SUFFIX,
    _block,
    _varint,
    small_network,
    variable_name,
    write_bundle,
    write_checkpoint,
)
from strangers import error_line, genbench
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.models.noise import NoiseStream
from genbench_adapters.hit import HiTAdapter, adapter
from genbench_adapters.hit.checkpoint import load_network, parameter_name
from genbench_adapters.hit.folded import FoldedHiT
from genbench_adapters.hit.network import (
    OFFICIAL,
    HiT,
    HiTConfig,
    MultiAxisAttention,
    blocked,
    depth_to_space,
    unblocked,
)
from genbench_adapters.hit.tensorflow import open_bundle

PARITY = Path(__file__).parents[2] / "parity"
SIZES = {128: (32_866_627, 304), 256: (46_217_670, 333), 1024: (88_216_300, 407)}


def empty(resolution: int) -> HiT:
    with torch.device("meta"):
        return HiT(OFFICIAL[resolution])


def test_published_sizes() -> None:
    for resolution, (parameters, variables) in SIZES.items():
        network = empty(resolution)
        assert network.config.resolution == resolution
        assert sum(item.numel() for item in network.parameters()) == parameters
        assert len(network.state_dict()) == variables


def test_the_bundled_card_counts_its_network() -> None:
    card = HiTAdapter.cards[0]
    path = Path(adapter.__file__).with_name("weights") / "model.safetensors"
    network = load_network(path, card)
    assert sum(item.numel() for item in network.parameters()) == card.parameters
    assert path.stat().st_size <= 4_000_000


def test_every_variable_of_the_official_networks() -> None:
    listed = json.loads(gzip.decompress((PARITY / "keys_full_hit.json.gz").read_bytes()))
    for resolution in SIZES:
        theirs = {
            parameter_name(key, "ema_generator/"): shape
            for key, shape in listed[f"hit-{resolution}"].items()
            if key.startswith("ema_generator/")
        }
        ours = {key: list(value.shape) for key, value in empty(resolution).state_dict().items()}
        assert ours == theirs


def test_blocking_keeps_patches_and_pixels_row_by_row() -> None:
    pixels = torch.arange(64.0).view(1, 8, 8, 1)
    patches = blocked(pixels, 4)
    assert patches.shape == (1, 4, 16, 1)
    assert patches[0, 1, :5, 0].tolist() == [4, 5, 6, 7, 12]  # the patch to the right of the first
    assert torch.equal(unblocked(patches, 8, 4), pixels)


def test_depth_to_space_has_pixels_before_channels() -> None:
    x = torch.arange(8.0).view(1, 1, 1, 8)
    assert depth_to_space(x)[0, :, :, 1].tolist() == [[1, 3], [5, 7]]


@pytest.mark.parametrize("multi_query", [True, False])
def test_attention_by_hand(multi_query: bool) -> None:
    torch.manual_seed(0)
    heads, width = 4, 3
    layer = MultiAxisAttention(heads * width, heads, heads * width, multi_query=multi_query)
    layer = layer.double()
    x = torch.randn(1, 2, 5, heads * width, dtype=torch.float64)
    q, k, v = (dense(x) for dense in (layer.query_dense, layer.key_dense, layer.value_dense))
    expected = torch.empty_like(q)
    for head in range(heads):
        shared = 0 if multi_query else head
        for patch in range(2):
            for pixel in range(5):
                own = q[0, patch, pixel, head]
                place = (patch, slice(None)) if head < heads // 2 else (slice(None), pixel)
                weights = torch.softmax(k[0][place][:, shared] @ own / width**0.5, dim=0)
                expected[0, patch, pixel, head] = weights @ v[0][place][:, shared]
    torch.testing.assert_close(layer(x), layer.output_dense(expected))


@pytest.mark.parametrize("config", [
    CONFIG,
    replace(CONFIG, multi_query=False),
    replace(CONFIG, dims=(16, 16, 4), heads=(4, 2, 2)),  # channels that fit after the shuffle
    replace(CONFIG, dims=(16, 8, 8), patches=(4, None, None)),
    replace(CONFIG, grey=True),
])  # fmt: skip
def test_the_folded_form_equals_the_plain_one(config: HiTConfig) -> None:
    network = small_network(config).double()
    z = NoiseStream(1, torch.arange(3)).normal((6,)).double()
    with torch.inference_mode():
        plain, folded = network(z), FoldedHiT(network)
        assert plain.shape == (3, 3, 32, 32)
        assert torch.equal(plain[:, 0], plain[:, 2]) == config.grey
        torch.testing.assert_close(folded(z), plain, rtol=0, atol=1e-9)
        half = folded.bfloat16()(z.bfloat16())
    assert (half - plain).abs().mean() < 0.05 * plain.std()  # approximate: 8 bits of mantissa


def test_layer_norm_has_no_folded_form() -> None:
    with pytest.raises(GenbenchError, match="run it plain"):
        FoldedHiT(small_network(replace(CONFIG, norm="layer")))


def test_a_converted_checkpoint_is_the_network(tmp_path: Path) -> None:
    ema, raw = small_network(), small_network()
    with torch.no_grad():
        for parameter in raw.parameters():
            parameter.add_(0.1)
    write_checkpoint(tmp_path, {"ema_generator": ema, "generator": raw})
    images = {}
    for weights in ("ema", "generator"):
        out = tmp_path / f"{weights}.safetensors"
        run = genbench("convert", "hit", tmp_path, "--out", out, "--weights", weights)
        assert run.returncode == 0, run.stderr
        assert f"{len(ema.state_dict())} variables" in run.stderr
        images[weights] = drawn(tmp_path, out)
    z = NoiseStream(0, torch.arange(2)).normal((6,))
    with torch.inference_mode():
        expected = ((ema(z) + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    assert abs(images["ema"].astype(int) - expected.numpy().astype(int)).max() <= 1
    plain = drawn(tmp_path, tmp_path / "ema.safetensors", "--plain")
    assert abs(plain.astype(int) - images["ema"].astype(int)).max() <= 1
    assert not np.array_equal(images["generator"], images["ema"])


def drawn(
    tmp_path: Path, checkpoint: Path, *words: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    out = tmp_path / "x.npz"
    run = genbench(
        "sample", "--model", "hit", "--res", "32", "--checkpoint", checkpoint, "-n", "2",
        "--out", out, "--cache", tmp_path / "cache", *words,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with np.load(out, allow_pickle=False) as file:
        images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = file["arr_0"]
    return images


Arrays = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def without_a_variable(arrays: Arrays) -> None:
    del arrays[variable_name("dense_layer.0.bias", "ema_generator")]


def with_one_too_many(arrays: Arrays) -> None:
    arrays[f"ema_generator/extra_layer/kernel{SUFFIX}"] = np.zeros((2, 2), np.float32)


def misshapen(arrays: Arrays) -> None:
    name = variable_name("to_rgb_layers.2.output_layer.1.bias", "ema_generator")
    arrays[name] = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [(without_a_variable, "1 missing (dense_layer.0.bias)"),
     (with_one_too_many, "1 unexpected (extra_layer.kernel)"),
     (misshapen, "1 wrong shape (to_rgb_layers.2.output_layer.1.bias [4] for [3])")],
)  # fmt: skip
def test_bad_checkpoints(tmp_path: Path, spoil: Callable[[Arrays], None], expected: str) -> None:
    state: dict[str, Tensor] = small_network().state_dict()
    arrays = {variable_name(key, "ema_generator"): value.numpy() for key, value in state.items()}
    spoil(arrays)
    write_bundle(tmp_path / "ckpt-1", arrays)
    out = tmp_path / "hit.safetensors"
    run = genbench("convert", "hit", tmp_path / "ckpt-1", "--out", out)
    assert expected in error_line(run)
    assert not out.exists()


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    prefix = write_checkpoint(tmp_path, {"ema_generator": small_network()})
    data = Path(f"{prefix}.data-00000-of-00001")
    whole = data.read_bytes()
    call = ("convert", "hit", prefix, "--out", tmp_path / "hit.safetensors")
    data.write_bytes(whole[: len(whole) // 2])
    assert "is cut short at" in error_line(genbench(*call))
    data.unlink()
    assert "No such file" in error_line(genbench(*call))
    index = Path(f"{prefix}.index")
    index.write_bytes(index.read_bytes()[:-20])
    assert "is not the index of a TensorFlow checkpoint" in error_line(genbench(*call))
    with pytest.raises(GenbenchError, match="check the path"):
        open_bundle(tmp_path / "nothing")


def footer(offset: int, size: int) -> bytes:
    fields = b"".join(map(_varint, (0, 0, offset, size)))
    return fields.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def test_indexes_that_never_end(tmp_path: Path) -> None:
    path = tmp_path / "c.index"
    long = b"\x80" * 1_000_000 + b"\0" * 9
    path.write_bytes(long + footer(0, len(long) - 5))
    with pytest.raises(GenbenchError, match="a number is too long"):
        open_bundle(tmp_path / "c")
    itself = _varint(0) + _varint(60_000)  # every handle is of the whole
    many = _block([(str(number).encode(), itself) for number in range(100_000, 110_000)])
    path.write_bytes(bytes(60_000) + b"\0" * 5 + many + footer(60_005, len(many) - 5))
    with pytest.raises(GenbenchError, match="blocks overlap"):
        open_bundle(tmp_path / "c")
    named = _block([(b"a" * 5000, b"")])
    top = _block([(b"z", _varint(0) + _varint(len(named) - 5))])
    path.write_bytes(named + top + footer(len(named), len(top) - 5))
    with pytest.raises(GenbenchError, match="a name is too long"):
        open_bundle(tmp_path / "c")


def test_a_tensor_that_is_longer_than_its_file(tmp_path: Path) -> None:
    write_bundle(tmp_path / "c", {"a": np.ones(4, np.float32)})
    bundle = open_bundle(tmp_path / "c")
    huge = replace(bundle.entries["a"], shape=(1 << 60,), size=1 << 62)
    far = replace(bundle.entries["a"], offset=1 << 70)
    for entry in (huge, far):
        with pytest.raises(GenbenchError, match="is cut short at a"):
            replace(bundle, entries={"a": entry}).read("a")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--weights", "raw"), "is neither ema nor generator"),
        (("--weights", "ema"), "holds no ema weights, only generator"),
        (("--patches", "4,4,8"), "does not fit the checkpoint, which is N,N,-"),
        (("--patches", "4,x,-"), "use numbers and -"),
        (("--patches", "3,4,-"), "patches of 3"),
        (("--patch", "4"), "did you mean patches?"),
    ],
)
def test_bad_conversions(tmp_path: Path, words: tuple[str, str], expected: str) -> None:
    write_checkpoint(tmp_path, {"generator": small_network()})
    out = tmp_path / "hit.safetensors"
    assert expected in error_line(genbench("convert", "hit", tmp_path, "--out", out, *words))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    line = error_line(genbench("fid", "--model", "hit", "--res", "128", "--ref", "bundled"))
    assert "no public weights of hit-128 are known" in line
    assert "genbench convert hit" in line
    assert "genbench throughput --model hit --res 128" in line
    assert Path(line.split("--config ")[1].split()[0]).name == "imagenet-128.toml"
    prefix = write_checkpoint(tmp_path, {"ema_generator": small_network()})
    sample = ("sample", "--model", "hit", "-n", "1", "--out", tmp_path / "x.npz")
    line = error_line(genbench(*sample, "--res", "128", "--checkpoint", prefix))
    assert "is a TensorFlow checkpoint: convert it first" in line
    out = tmp_path / "hit.safetensors"
    assert genbench("convert", "hit", prefix, "--out", out).returncode == 0
    line = error_line(genbench(*sample, "--res", "128", "--checkpoint", out))
    assert "is a HiT of 32 pixels, not 128" in line
    line = error_line(genbench("convert", "toy", prefix, "--out", out))
    assert "toy has nothing to convert" in line


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("dims", (0, 8, 8), "must be 1 or more"),
        ("dims", (-8, 8, 8), "must be 1 or more"),
        ("heads", (0, 2, 2), "must be 1 or more"),
        ("patches", (0, 4, None), "must be 1 or more"),
        ("latent", 0, "must be 1 or more"),
        ("layers", (-1, 1, 1), "its layers 0 or more"),
        ("latent", "8", "must be whole numbers"),
        ("dims", (8.0, 8, 8), "must be whole numbers"),
        ("dims", (10**9, 8, 8), "must be whole numbers up to 8192"),
        ("layers", (10**6, 1, 1), "must be whole numbers up to"),
        ("layers", (100, 1, 1), "at most 64 layers"),
        ("heads", 3, "must be lists of up to 10 numbers"),
        ("patches", (4,) * 40, "must be lists of up to 10 numbers"),
    ],
)
def test_sizes_that_cannot_be(key: str, value: object, expected: str) -> None:
    fitting = {"dims": (8, 8, 8), "heads": (2, 2, 2), "layers": (1, 1, 1), "patches": (4, 4, None)}
    with pytest.raises(GenbenchError, match=expected):
        HiTConfig.from_mapping(fitting | {key: value})
