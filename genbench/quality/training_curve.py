"""Figures along a distillation: it is stopped every so many steps, measured, and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.errors import UsageError
from genbench.models.opening import ModelRequest, resolve
from genbench.models.optional import DistillRun
from genbench.quality.evaluation import QualityRequest, evaluate
from genbench.records.kinds import QualityRecord
from genbench.records.protocols import EvalProtocol
from genbench.runtime.files import replacing
from genbench.runtime.validated import read_toml

_METRICS = ("fid", "precision", "recall")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What to measure, and how often."""

    every: int  # steps; 0: never
    samples: int
    protocol: EvalProtocol


def distilled(
    begin: Callable[[DistillRun], Path], run: DistillRun, model: str, curve: Curve
) -> Path:
    """Run a distillation to its end, with `curve.jsonl` in its folder; returns the weights' path.

    The figures depend on the weights at those steps alone, so a resumed run has the same curve.
    """
    if not curve.every:
        return begin(run)
    total = run.steps or _recipe_steps(run.config)
    legs = [*range(curve.every, total, curve.every), total]
    path = run.out / "curve.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    measured = {json.loads(line)["step"] for line in lines}
    weights = run.out
    for steps in legs:
        if steps in measured:
            continue
        weights = begin(replace(run, steps=steps))
        figures = _measured(weights, run, model, curve)
        if run.world.leads:
            values = {figure.metric: figure.value for figure in figures}
            lines.append(json.dumps({"step": steps, "samples": curve.samples, **values}))
            with replacing(path) as temporary:
                temporary.write_text("\n".join(lines) + "\n")
            told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            run.reporter.note(f"after {steps} steps: {told}")
    return begin(replace(run, steps=total)) if total in measured else weights


def _recipe_steps(config: Path) -> int:
    steps = read_toml(config, error=UsageError).get("steps")
    if type(steps) is not int:
        raise UsageError(f"{config}: steps {steps!r} is not a whole number: correct it")
    return steps


def _measured(weights: Path, run: DistillRun, model: str, curve: Curve) -> list[QualityRecord]:
    request = QualityRequest(
        protocol=curve.protocol,
        model=resolve(ModelRequest(name=model, resolution=run.resolution, checkpoint=str(weights))),
        counts=(curve.samples,),
        metrics=_METRICS,
    )
    return evaluate(request, world=run.world, device=run.device, reporter=run.reporter)
