"""Measurements made up for tests of what is done with records."""

from __future__ import annotations

from typing import Any

from genbench.records.measurement import Measurement
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
) -> Measurement:
    """A record of a quality figure under a protocol of protocols.toml."""
    used = load_protocols()[protocol]
    fields: dict[str, Any] = {
        "model": model,
        "resolution": resolution,
        "metric": metric,
        "value": value,
        "unit": "",
        "samples": samples,
        "detector": used.detector,
        "protocol": protocol,
        "protocol_digest": used.digest(),
        "checkpoint": "model.safetensors",
        "seed": 0,
        "run": run,
        "environment": {"genbench": "0.1.0", "torch": "2.14.1", "device": device, "git": "abc"},
        "weight_kind": "official",
        "created": "2026-11-24T12:00:00+00:00",
    }
    return Measurement(**fields | more)


def speed(
    model: str,
    value: float,
    *,
    metric: str = "throughput",
    tier: str = "measured",
    device: str = "a CPU",
    **more: Any,
) -> Measurement:
    """A record of throughput, of sampling unless the settings say otherwise."""
    settings = {"tier": tier, "mode": "sample"} | more.pop("settings", {})
    return made(model, metric, value, unit="images/s", device=device, settings=settings, **more)
