"""genbench: draw samples from image generators, measure them, compare them with the papers.

Everything public is here and imported when it is first used: `import genbench` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genbench.version import __version__

if TYPE_CHECKING:
    from genbench.api import (
        build_table,
        evaluate,
        open_images,
        open_model,
        read_records,
        throughput,
    )
    from genbench.errors import GenbenchError, UsageError
    from genbench.evaluator import Evaluator
    from genbench.explaining.door import explain
    from genbench.images.rounding import to_uint8
    from genbench.models.contract import CheckpointSource, Generator, ModelCard
    from genbench.models.noise import NoiseStream
    from genbench.records.kinds import QualityRecord, SpeedRecord
    from genbench.records.measurement import Measurement
    from genbench.records.protocols import EvalProtocol
    from genbench.runtime.distributed import World

__all__ = [
    "CheckpointSource",
    "EvalProtocol",
    "Evaluator",
    "GenbenchError",
    "Generator",
    "Measurement",
    "ModelCard",
    "NoiseStream",
    "QualityRecord",
    "SpeedRecord",
    "UsageError",
    "World",
    "__version__",
    "build_table",
    "evaluate",
    "explain",
    "open_images",
    "open_model",
    "read_records",
    "throughput",
    "to_uint8",
]

_HOMES = {
    **dict.fromkeys(
        ("build_table", "evaluate", "open_images", "open_model", "read_records", "throughput"),
        "genbench.api",
    ),
    "Evaluator": "genbench.evaluator",
    "explain": "genbench.explaining.door",
    **dict.fromkeys(("GenbenchError", "UsageError"), "genbench.errors"),
    "to_uint8": "genbench.images.rounding",
    **dict.fromkeys(("CheckpointSource", "Generator", "ModelCard"), "genbench.models.contract"),
    "NoiseStream": "genbench.models.noise",
    **dict.fromkeys(("QualityRecord", "SpeedRecord"), "genbench.records.kinds"),
    "Measurement": "genbench.records.measurement",
    "EvalProtocol": "genbench.records.protocols",
    "World": "genbench.runtime.distributed",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
