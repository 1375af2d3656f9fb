"""Measurements made up for tests of what is done with records."""

from __future__ import annotations

from typing import Any

from genbench.records.kinds import QualityRecord, SpeedRecord
from genbench.records.measurement import Environment
from genbench.records.protocols import load_protocols

V100 = "Tesla V100-SXM2-16GB"


def made(
    model: str,
    metric: str,
    value: float,
    *,
    protocol: str = "bundled",
    resolution: int = 32,
    samples: int = 10_000,
    run: str = "run0",
    device: str = "a CPU",
    **more: Any,
) -> QualityRecord:
    """A record of a quality figure under a protocol of protocols.toml."""
    used = load_protocols()[protocol]
    fields: dict[str, Any] = {
        **_shared(model, metric, value, resolution, run, device),
        "samples": samples,
        "detector": used.detector,
        "protocol": protocol,
        "protocol_digest": used.digest(),
    }
    return QualityRecord(**fields | more)


def speed(
    model: str,
    value: float,
    *,
    metric: str = "throughput",
    resolution: int = 32,
    run: str = "run0",
    device: str = "a CPU",
    **more: Any,
) -> SpeedRecord:
    """A record of throughput, of sampling unless it is said otherwise."""
    fields: dict[str, Any] = {
        **_shared(model, metric, value, resolution, run, device),
        "unit": "images/s",
        "samples": 10_000,
        "protocol": "speed",
        "protocol_digest": "0",
        "mode": "sample",
    }
    return SpeedRecord(**fields | more)


def _shared(
    model: str, metric: str, value: float, resolution: int, run: str, device: str
) -> dict[str, Any]:
    return {
        "model": model,
        "resolution": resolution,
        "metric": metric,
        "value": value,
        "unit": "",
        "checkpoint": "model.safetensors",
        "seed": 0,
        "run": run,
        "environment": Environment(
            genbench="0.1.0", packages={"torch": "2.14.1"}, device=device, git="abc"
        ),
        "weight_kind": "official",
        "created": "2026-11-24T12:00:00+00:00",
    }
