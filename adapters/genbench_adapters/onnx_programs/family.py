"""The family that an ONNX file makes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Adapter
from genbench.runtime.digests import file_sha256
from genbench_adapters.programs.family import Contents, Program, Run, family_of_file
from genbench_adapters.programs.inputs import Input

_TYPES = {
    "tensor(float)": torch.float32, "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64, "tensor(int64)": torch.int64, "tensor(int32)": torch.int32,
}  # fmt: skip

# An entry of TensorProto.external_data (onnx.proto, StringStringEntryProto) up to its value: the
# key "location" and the value's length, a varint.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff]?[\x00-\x7f])", re.DOTALL)


@dataclass(frozen=True)
class OnnxProgram(Program):
    """An ONNX file, run by onnxruntime on the CPU or a GPU."""

    def contents(self) -> Contents:
        """Inputs and first output of the graph. Raises GenbenchError for a damaged file."""
        session = _session(self.path, torch.device("cpu"))
        inputs = []
        for item in session.get_inputs():
            if item.type not in _TYPES:
                raise GenbenchError(f"{self.path}: input {item.name} is {item.type}, which is not "
                                    "drawn: export it with floats or whole numbers")  # fmt: skip
            batch, *shape = [side if isinstance(side, int) else None for side in item.shape] or [0]
            inputs.append(Input(item.name, tuple(shape), batch, _TYPES[item.type]))
        sides = [side for side in session.get_outputs()[0].shape if isinstance(side, int)]
        square = [side for side in sides if sides.count(side) > 1]
        return Contents(inputs, square[-1] if square else 0)

    def runner(self, device: torch.device, dtype: torch.dtype) -> Run:
        """A session, inputs [N, …] -> images [N, C, R, R]; its arithmetic is the file's own."""
        if dtype != torch.float32:
            raise UsageError(f"{self.path.name} has its own arithmetic: leave out --dtype")
        session = _session(self.path, device)
        first = session.get_outputs()[0].name

        def run(given: Mapping[str, Tensor]) -> object:
            arrays = {name: value.cpu().numpy() for name, value in given.items()}
            return session.run([first], arrays)[0]

        return run

    def digest(self) -> str:
        """SHA-256 of the file, and of those that hold its larger tensors."""
        total = hashlib.sha256(file_sha256(self.path).encode())
        for name in _external(self.path):
            total.update(f"\n{name} {file_sha256(self.path.parent / name)}".encode())
        return total.hexdigest()


def _session(path: Path, device: torch.device) -> Any:
    if not find_spec("onnxruntime"):
        raise GenbenchError("needs onnxruntime: pip install 'genbench[onnx]'")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if device.type == "cpu":  # one thread order for the same bits on any machine's cores
        options.intra_op_num_threads = torch.get_num_threads()
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise UsageError(
                "this onnxruntime runs on no GPU: pass --device cpu, or pip install onnxruntime-gpu"
            )
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own, of many kinds
        told = " ".join(str(error).split())[:200]
        raise GenbenchError(f"{path} cannot be loaded: {told}; export it again") from error


def _external(path: Path) -> list[str]:
    """Files beside or below the program that hold its tensors, as it names them."""
    data, found = path.read_bytes(), set[str]()
    for entry in _LOCATION.finditer(data):
        low, *high = entry[1]
        size = low & 127 | (high[0] << 7 if high else 0)
        found.add(os.fsdecode(data[entry.end() : entry.end() + size]))
    return sorted(name for name in found if os.path.isfile(path.parent / name))


def family_of(argument: str) -> type[Adapter]:
    """The family of an ONNX file. Raises UsageError for a path that is no file."""
    return family_of_file(OnnxProgram, argument, "inputs and size stand in the file")
