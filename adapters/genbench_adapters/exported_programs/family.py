"""The family that a program of torch.export makes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.models.contract import Adapter
from genbench.models.optional import Opener
from genbench.runtime.digests import file_sha256
from genbench_adapters.programs.family import Contents, Program, Run, family_of_file
from genbench_adapters.programs.inputs import Input


@dataclass(frozen=True)
class ExportedProgram(Program):
    """A program of torch.export, whose reader evaluates expressions that stand in the file."""

    trust: bool = field(
        default=False, metadata={"help": "read the file, which a hostile one can abuse to run code"}
    )

    def contents(self) -> Contents:
        """Inputs and first output of the program. Raises GenbenchError for a damaged file."""
        program = self._program()
        held = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
        inputs = []
        for name in program.graph_signature.user_inputs:
            value = held.get(name)
            if not isinstance(value, Tensor):
                raise GenbenchError(f"{self.path}: input {name} is no tensor: export it without")
            batch, *shape = [_fixed(side) for side in value.shape] or [0]
            inputs.append(Input(name, tuple(shape), batch, value.dtype))
        output = held.get(program.graph_signature.user_outputs[0])
        pixels = _fixed(output.shape[-1]) if isinstance(output, Tensor) and output.ndim == 4 else 0
        return Contents(inputs, pixels or 0)

    def runner(self, device: torch.device, dtype: torch.dtype) -> Run:
        """Runs the program, inputs [N, …] -> images [N, C, R, R]; its arithmetic is its own."""
        if dtype != torch.float32:
            raise UsageError(f"{self.path.name} has its own arithmetic: leave out --dtype")
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(self._program(), device)
        module = program.module()

        def run(given: Mapping[str, Tensor]) -> object:
            returned = module(*given.values())
            return returned[0] if isinstance(returned, tuple | list) else returned

        return run

    def digest(self) -> str:
        """SHA-256 (hex) of the file."""
        return file_sha256(self.path)

    def _program(self) -> Any:
        if not self.trust:
            raise UsageError(
                f"reading {self.path.name} can run code that a hostile file holds: pass --trust "
                "true if you know where it is from, or export it as .onnx"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.export.load(self.path)
        except Exception as error:  # torch raises all kinds on damaged files
            told = " ".join(str(error).split())[:200]
            raise GenbenchError(f"{self.path} cannot be loaded: {told}; export it again") from error


def _fixed(side: object) -> int | None:
    return side if isinstance(side, int) else None


def family_of(argument: str) -> type[Adapter]:
    """The family of a .pt2 file. Raises UsageError for a path that is no file."""
    path = Path(argument)
    return family_of_file(ExportedProgram, str(path), "inputs and size stand in the file")


OPENER = Opener(
    takes="FILE.pt2",
    about="a program of torch.export (with --trust true); the word pt2: may be left out",
    family=family_of,
)
