"""EDM's checkpoints: conversion round trips, hostile pickles of which nothing runs, bad files."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from edm_files import ADM_LIKE, DDPMPP, NCSNPP, arguments_of, small_network, write_pickle
from safetensors import safe_open
from safetensors.torch import load_file
from strangers import error_line, genbench
from torch import Tensor, nn

from genbench.errors import GenbenchError
from genbench_adapters.emd.network import EDMConfig
from genbench_adapters.emd.pickles import read_network
from genbench_adapters.emd.storages import read_storage

State = dict[str, Tensor]


def convert(source: Path, out: Path, *words: str) -> Any:
    return genbench("convert", "edm", source, "--out", out, *(words or ("--trust-pickle",)))


@pytest.mark.parametrize("config", [ADM_LIKE, DDPMPP, NCSNPP], ids=["adm", "ddpm++", "ncsn++"])
def test_a_converted_pickle_is_the_network(tmp_path: Path, config: EDMConfig) -> None:
    network, out = small_network(config), tmp_path / "edm.safetensors"
    ran = tmp_path / "ran"
    source = f"open({str(ran)!r}, 'w').close()\nraise SystemExit('the source was run')"
    run = convert(write_pickle(tmp_path / "net.pkl", network, source=source), out)
    assert run.returncode == 0, run.stderr
    assert f"{len(network.state_dict())} tensors, {config.model_type}" in run.stderr
    assert not ran.exists()
    read = load_file(out)
    assert read.keys() == network.state_dict().keys()
    assert all(torch.equal(read[key], value) for key, value in network.state_dict().items())
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    assert metadata["genbench.kind"] == "converted"
    assert EDMConfig.from_mapping(json.loads(metadata["genbench.config"])) == config


def test_half_precision_and_shared_storage_are_read(tmp_path: Path) -> None:
    network = small_network()
    half = small_network().half()
    half.get_submodule("model.out_conv").bias = nn.Parameter(torch.arange(8).half()[2:8:2])
    state, _ = read_network(write_pickle(tmp_path / "net.pkl", half))
    assert state["model.out_conv.bias"].tolist() == [2, 4, 6]
    key = "model.map_layer0.weight"
    assert torch.equal(state[key], network.state_dict()[key].half())


def test_a_pickle_needs_trust_and_the_risk_is_said(tmp_path: Path) -> None:
    source, out = write_pickle(tmp_path / "net.pkl", small_network()), tmp_path / "edm.safetensors"
    for words in (("--trust-pickle", "false"), ("--trust-pickle=no",)):
        assert "add --trust-pickle" in error_line(convert(source, out, *words))
    line = error_line(genbench("convert", "edm", source, "--out", out))
    assert "runs the code that it names or carries" in line
    assert not out.exists()
    missing = tmp_path / "nothing.pkl"
    line = error_line(genbench("convert", "edm", missing, "--out", out))
    assert "add --trust-pickle" in line  # not even opened
    assert "No such file" in error_line(convert(missing, out))
    line = error_line(convert(source, out, "--trust-pickles"))
    assert "did you mean trust-pickle?" in line
    assert "must end in .safetensors" in error_line(convert(source, tmp_path / "edm.pt"))
    line = error_line(
        genbench("sample", "--model", "edm", "-n", "1", "--out", tmp_path / "x.npz",
                 "--res", "32", "--checkpoint", source)
    )  # fmt: skip
    assert "is a pickle: convert it once" in line
    renamed = source.rename(tmp_path / "net.bin")
    line = error_line(
        genbench("sample", "--model", "edm", "-n", "1", "--out", tmp_path / "x.npz",
                 "--variant", "edm-64", "--checkpoint", renamed)
    )  # fmt: skip
    assert "is a pickle: convert it once" in line


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def named(module: str, name: str, *arguments: bytes) -> bytes:
    """A pickle that calls module.name, whether or not it can be imported here."""
    words = b"".join(b"X" + struct.pack("<I", len(item)) + item for item in arguments)
    return b"\x80\x04c" + f"{module}\n{name}\n".encode() + b"(" + words + b"tR."


def hostile(ran: Path) -> dict[str, bytes]:
    """Files that would create `ran` where they were run, by name of the trick."""
    code = f"open({str(ran)!r}, 'w').close()"
    touch = f"touch {ran}"
    inner = pickle.dumps(Calls(os.system, touch))
    torch_file = io.BytesIO()
    torch.save(Calls(os.system, touch), torch_file, _use_new_zipfile_serialization=False)
    zipped = io.BytesIO()
    torch.save({"ema": Calls(os.system, touch)}, zipped)
    storage = torch.storage._load_from_bytes
    tensor = torch._utils._rebuild_tensor_v2
    return {
        "os.system": inner,
        "beside the network": pickle.dumps({"a": Calls(os.system, touch), "ema": None}),
        "builtins.eval": pickle.dumps(Calls(eval, code)),
        "builtins.exec": pickle.dumps(Calls(exec, code)),
        "builtins.getattr": named("builtins", "getattr", b"os", b"system"),
        "a dotted name": b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93"
        + b"X" + struct.pack("<I", len(touch)) + touch.encode() + b"\x85R.",
        "a dotted known name": named("collections", "OrderedDict.fromkeys", b"a"),
        "subprocess": named("subprocess", "getoutput", touch.encode()),
        "the old operation INST": b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        "the old operation OBJ": b"(cos\nsystem\nX"
        + struct.pack("<I", len(touch)) + touch.encode() + b"o.",
        "the extension registry": b"\x80\x04\x82\x01.",
        "a persistent id": b"\x80\x04\x8c\x01aQ.",
        "torch.load": named("torch", "load", str(ran).encode()),
        "torch.hub": named("torch.hub", "load", b"a", b"b"),
        "a storage that is a call": pickle.dumps(Calls(storage, inner)),
        "a storage that is a torch file of a call": pickle.dumps(
            Calls(storage, torch_file.getvalue())
        ),
        "a storage that is a zip of a call": pickle.dumps(Calls(storage, zipped.getvalue())),
        "a tensor of a call": pickle.dumps(
            Calls(tensor, Calls(os.system, touch), 0, (1,), (1,), False, OrderedDict())
        ),
        "hooks of a tensor": pickle.dumps(
            Calls(torch._utils._rebuild_parameter, torch.zeros(2), True,
                  OrderedDict(a=Calls(os.system, touch)))
        ),
        "numpy's load": named("numpy", "load", str(ran).encode()),
        "numpy's object scalar": named("numpy", "dtype", b"O"),
        "code in a class name": named("torch_utils.persistence", "_src_to_module", code.encode()),
        "functools.partial": named("functools", "partial", b"a"),
        "copyreg": named("copyreg", "__newobj__", b"a"),
    }  # fmt: skip


TRICKS = sorted(hostile(Path("ran")))


@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_of_a_hostile_pickle_runs(tmp_path: Path, trick: str) -> None:
    ran, out = tmp_path / "ran", tmp_path / "edm.safetensors"
    path = tmp_path / "net.pkl"
    path.write_bytes(hostile(ran)[trick])
    before = set(sys.modules)
    line = error_line(convert(path, out))
    assert "nothing of it was run" in line or "holds no network under 'ema'" in line
    assert not ran.exists()
    assert not out.exists()
    assert not {"torch_utils", "dnnlib", "subprocess_evil"} & (set(sys.modules) - before)


def test_the_hostile_files_would_run_elsewhere(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    for trick in ("os.system", "builtins.exec", "a tensor of a call", "hooks of a tensor",
                  "a storage that is a torch file of a call",
                  "the old operation INST"):  # fmt: skip
        ran = tmp_path / trick.replace(" ", "-").replace(".", "-")
        with suppress(Exception):  # some fail once the harm is done
            pickle.loads(hostile(ran)[trick])
        assert ran.exists(), trick


def test_hostile_words_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    path.write_bytes(named("os\x1b[2J", "system" + "m" * 300))
    line = error_line(convert(path, tmp_path / "edm.safetensors"))
    assert "\x1b" not in line
    assert len(line) < 500


def altering(name: tuple[str, str], state: bytes) -> bytes:
    """A pickle that sets attributes of what a known name stands for."""
    return b"\x80\x04c" + f"{name[0]}\n{name[1]}\n".encode() + state + b"b."


@pytest.mark.parametrize(
    "name",
    [
        ("torch_utils.persistence", "_reconstruct_persistent_obj"),
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch.nn.modules.container", "ModuleDict"),
        ("numpy", "dtype"),
    ],
    ids=lambda name: name[1],
)
def test_the_reader_cannot_be_altered_by_a_file(tmp_path: Path, name: tuple[str, str]) -> None:
    path = tmp_path / "net.pkl"
    for state in (b"}X\x04\x00\x00\x00kindK\x01s", b"N}X\x04\x00\x00\x00kindK\x01s\x86"):
        path.write_bytes(altering(name, state))
        with pytest.raises(GenbenchError, match="nothing of it was run"):
            read_network(path)
    good = write_pickle(path, small_network())
    assert len(read_network(good)[0]) == len(small_network().state_dict())


def storage_bytes(tensor: Tensor) -> bytes:
    """What torch writes for the storage inside a pickled tensor."""
    storage = tensor.__reduce_ex__(2)[1][0]
    data: bytes = storage.__reduce__()[1][0]
    return data


def test_a_tensor_cannot_leave_its_storage(tmp_path: Path) -> None:
    """torch's own rebuilding would hand out whatever the memory holds."""
    path, data = tmp_path / "net.pkl", storage_bytes(torch.arange(6.0))
    make, load = torch._utils._rebuild_tensor_v2, torch.storage._load_from_bytes
    for offset, size, stride in ((0, (7,), (1,)), (4, (3,), (1,)), (0, (1 << 40,), (0,)),
                                 (-1, (2,), (1,)), (0, (2, 3), (3,)), (0, (-2,), (1,)),
                                 (0, (2.0,), (1,)), (0, (2, 2), (5, 5))):  # fmt: skip
        path.write_bytes(
            pickle.dumps({"ema": Calls(make, Calls(load, data), offset, size, stride, False, None)})
        )
        with pytest.raises(GenbenchError, match=r"impossible|leaves its storage"):
            read_network(path)


def test_storages_are_read_whole_or_not_at_all() -> None:
    for tensor in (torch.arange(5.0), torch.arange(3), torch.ones(2, dtype=torch.bfloat16),
                   torch.empty(0)):  # fmt: skip
        assert torch.equal(read_storage(storage_bytes(tensor)).values, tensor)
    whole = storage_bytes(torch.arange(5.0))
    for data in (whole[:-1], whole + b"\0", whole[:100], b"", whole.replace(b"Float", b"Magic"),
                 whole.replace(b"\x88", b"\x89")):  # fmt: skip
        with pytest.raises((pickle.UnpicklingError, ValueError, EOFError)):
            read_storage(data)


def test_bombs_are_refused_at_once(tmp_path: Path) -> None:
    deep = b"\x80\x04}" + b")" + b"\x85" * 1_000_000 + b"K\x01s."  # hashing it ends the process
    places = b"\x80\x04Nr\xff\xff\xff\x7f."  # a memo of 16 GB
    long = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x."
    path = tmp_path / "net.pkl"
    frame = b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N."
    within = b"\x80\x04" + (b"\x95" + struct.pack("<Q", 12)) * 2 + b"}." + b"N" * 20
    for data in (deep, places, long, frame, within):
        path.write_bytes(data)
        with pytest.raises(GenbenchError, match="nothing of it was run"):
            read_network(path)


def test_modules_that_are_no_tree(tmp_path: Path) -> None:
    network = small_network()
    network.model.enc["32x32_block0"] = network.model.enc["16x16_down"]
    path = write_pickle(tmp_path / "net.pkl", network)
    line = error_line(convert(path, tmp_path / "edm.safetensors"))
    assert "holds modules that are no tree" in line


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_truncated_pickles(tmp_path: Path, share: float) -> None:
    path = write_pickle(tmp_path / "net.pkl", small_network())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    line = error_line(convert(path, tmp_path / "edm.safetensors"))
    assert "is no EDM network pickle that can be read safely" in line
    assert not (tmp_path / "edm.safetensors").exists()


@pytest.mark.parametrize("kind", ["VPPrecond", "VEPrecond", "iDDPMPrecond", "\x1b[2J"])
def test_other_parameterisations_are_refused(tmp_path: Path, kind: str) -> None:
    """Their tensors have the names and shapes of EDM's, and mean something else."""
    path = write_pickle(tmp_path / "net.pkl", small_network(), kind=kind)
    line = error_line(convert(path, tmp_path / "edm.safetensors"))
    assert f"holds a {kind!a}; only the parameterisation EDMPrecond is known" in line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model_type": "VPUNet"}, "model_type 'VPUNet' is not"),
        ({"img_resolution": "32"}, "img_resolution '32' is not a number"),
        ({"colour": 1}, "configuration keys ['colour'] are not EDM's"),
        ({"num_blocks": 2}, "missing"),
        ({"model_channels": 64}, "wrong shape"),
        ({"label_dim": 0}, "1 unexpected (model.map_label.weight)"),
    ],
)
def test_configurations_that_do_not_fit(
    tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    arguments = arguments_of(ADM_LIKE) | change
    path = write_pickle(tmp_path / "net.pkl", small_network(), arguments=arguments)
    assert expected in error_line(convert(path, tmp_path / "edm.safetensors"))


def test_pickles_of_something_else(tmp_path: Path) -> None:
    path, out = tmp_path / "net.pkl", tmp_path / "edm.safetensors"
    for held in ([1, 2], {"G": 1}, {"ema": {"a": 1}}):
        path.write_bytes(pickle.dumps(held))
        assert "holds no network under 'ema'" in error_line(convert(path, out))
    path.write_text("hello")
    assert "can be read safely" in error_line(convert(path, out))
    torch.save(small_network().state_dict(), path)  # a zip
    assert "can be read safely" in error_line(convert(path, out))
    assert "Is a directory" in error_line(convert(tmp_path, out))


def without_a_tensor(state: State) -> None:
    del state["model.out_conv.bias"]


def with_one_too_many(state: State) -> None:
    state["model.extra"] = torch.zeros(1)


def misshapen(state: State) -> None:
    state["model.out_conv.bias"] = torch.zeros(4)


def not_finite(state: State) -> None:
    state["model.out_conv.bias"] = torch.tensor([0.0, float("nan"), 0.0])


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_a_tensor, "1 missing (model.out_conv.bias)"),
        (with_one_too_many, "1 unexpected (model.extra)"),
        (misshapen, "1 wrong shape (model.out_conv.bias [4] for [3])"),
        (not_finite, "hold NaN or infinity in model.out_conv.bias"),
    ],
)
def test_bad_state_dicts(tmp_path: Path, spoil: Callable[[State], None], expected: str) -> None:
    state: State = small_network().state_dict()
    spoil(state)
    assert expected in error_line(sample(tmp_path, state))


def sample(folder: Path, state: State, *words: str, config: object = ADM_LIKE) -> Any:
    """`genbench sample` of a bare state dict, as DMD2 publishes them, with its configuration."""
    torch.save(state, folder / "pytorch_model.bin")
    if isinstance(config, EDMConfig):
        config = json.dumps(arguments_of(config))
    if config is not None:
        (folder / "config.json").write_text(str(config))
    return genbench(
        "sample", "--model", "emd", "-n", "1", "--out", folder / "x.npz", "--sigma", "80",
        "--checkpoint", folder, "--cache", folder / "cache", *(words or ("--res", "32")),
    )  # fmt: skip


def test_a_bare_state_dict_with_its_configuration(tmp_path: Path) -> None:
    state = small_network().state_dict()
    assert sample(tmp_path, state).returncode == 0
    line = error_line(sample(tmp_path, state, config="{"))
    assert "config.json is not a JSON file" in line
    assert "holds no configuration" in error_line(sample(tmp_path, state, config="[1]"))
    line = error_line(sample(tmp_path, state, config=replace(ADM_LIKE, label_dim=0)))
    assert "EDM network of 32 pixels and 0 classes, not of 32 and 10" in line
    (tmp_path / "config.json").unlink()
    line = error_line(sample(tmp_path, state, config=None))
    assert "carries no configuration" in line
    line = error_line(sample(tmp_path, state, "--variant", "emd-64", config=None))
    assert "the weights do not fit EDM at 64 pixels" in line


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "edm.safetensors"
    assert convert(write_pickle(tmp_path / "net.pkl", small_network()), out).returncode == 0
    out.write_bytes(out.read_bytes()[:-100])
    line = error_line(
        genbench("sample", "--model", "edm", "-n", "1", "--out", tmp_path / "x.npz",
                 "--res", "32", "--checkpoint", out)
    )  # fmt: skip
    assert "damaged or cut short" in line
