"""Records of format 1, whose settings and environment were bags of keys, as those of format 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.errors import GenbenchError

_PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pillow")
_KEYS = {
    *("model", "resolution", "metric", "value", "unit", "samples", "detector", "protocol"),
    *("protocol_digest", "checkpoint", "seed", "run", "environment", "low", "high", "interval"),
    *("card", "checkpoint_digest", "weight_kind", "options", "labels", "nfe", "nfe_guidance"),
    *("samples_digest", "reference", "reference_digest", "reference_samples"),
    *("detector_identity", "settings", "notes", "trials", "created"),
}
_QUALITY = (
    "detector", "detector_identity", "nfe", "nfe_guidance", "samples_digest", "reference",
    "reference_digest", "reference_samples",
)  # fmt: skip
_GPU_SWITCHES = ("cudnn_benchmark", "matmul_tf32", "cudnn_tf32")
_POWER = ("joules_per_image", "energy_from")


def from_format_1(values: Mapping[str, Any], *, name: object) -> dict[str, Any]:
    """The values of a record of format 2. name: of the file and line.

    Raises GenbenchError for unknown keys; what is missing or of another kind is found by whoever
    validates the values.
    """
    if unknown := set(values) - _KEYS:
        raise GenbenchError(
            f"{name} has unknown keys {sorted(unknown)}: it is no genbench record, or was written "
            "by another version; remove that line"
        )
    kept: dict[str, Any] = {key: values[key] for key in values
                            if key not in ("settings", "options", *_QUALITY)}  # fmt: skip
    options = dict(values.get("options", {}))
    kept["arithmetic"] = options.pop("dtype", "")
    kept["code_digest"] = options.pop("code", "")
    kept["options"] = options
    kept["environment"] = _environment(values.get("environment", {}))
    settings = dict(values.get("settings", {}))
    if values.get("protocol") == "speed":
        return kept | _speed(settings)
    told = {key: values[key] for key in _QUALITY if key in values}
    singular = any("covariance is singular" in note for note in values.get("notes", ()))
    return kept | told | {"kind": "quality", "settings": settings or None, "singular": singular}


def _environment(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in values.items() if key not in (*_PACKAGES, "tf32", "gpu")}
    kept["packages"] = {key: values[key] for key in _PACKAGES if key in values}
    if gpu := dict(values.get("gpu", {})):
        kept["gpu"] = {key: value for key, value in gpu.items() if key not in _GPU_SWITCHES}
        # What a CPU's record says of tf32 is the switch of a GPU that was not there.
        kept["tf32"] = bool(gpu.get("matmul_tf32") or gpu.get("cudnn_tf32"))
        kept["autotuned"] = gpu.get("cudnn_benchmark")
    return kept


def _speed(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of a speed record."""
    taken = settings.pop
    found: dict[str, Any] = {
        "kind": "speed",
        "arithmetic": taken("precision", ""),
        "compiled": taken("compile", None),
    }
    if "wall_seconds" in settings:
        found["timing"] = {key: taken(key) for key in (
            "calls", "wall_seconds", "processor_seconds", "median_seconds", "iqr_seconds", "busy",
            "host_bound", "warm_up",
        )}  # fmt: skip
    if "achieved_flops" in settings:
        found["work"] = {
            "convention": taken("flops_convention"),
            **{key: taken(key) for key in (
                "achieved_flops", "datasheet_flops", "utilisation_datasheet", "matmul_flops",
                "utilisation_matmul",
            )},
        }  # fmt: skip
    if "sweep" in settings:
        found["sweep"] = {
            "points": taken("sweep"), "ended": taken("sweep_ended"), "of": taken("sweep_of"),
        }  # fmt: skip
    if "power" in settings:
        found["power"] = taken("power") | {key: taken(key) for key in _POWER}
    if "network" in settings:
        found["training"] = {
            "network": taken("network"),
            "form": taken("form", ""),
            "implementation": taken("implementation", ""),
            "published_batch": taken("paper_batch", None),
            "flops_rule": taken("flops_rule", ""),
        }
    if "target" in settings:
        found["target"] = {"gpu": taken("target"), "how": taken("how")}
    return found | settings  # mode, tier, gpu, clock, batch and what else kept its name
