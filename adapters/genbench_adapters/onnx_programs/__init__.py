"""Programs in the ONNX format, run by onnxruntime: `--model FILE.onnx`."""

from __future__ import annotations

from importlib.util import find_spec

from genbench.models.contract import Adapter
from genbench.models.optional import Opener


def _lacking() -> str:
    return "" if find_spec("onnxruntime") else "needs onnxruntime: pip install 'genbench[onnx]'"


def _family(argument: str) -> type[Adapter]:
    from genbench_adapters.onnx_programs.family import family_of

    return family_of(argument)


OPENER = Opener(
    takes="FILE.onnx",
    about="an ONNX file; the word onnx: may be left out",
    family=_family,
    lacking=_lacking,
)
