"""Figures along a distillation: it is stopped every so many steps, measured, and resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.errors import UsageError
from genbench.metrics.catalogue import METRICS
from genbench.models.opening import ModelRequest, resolve
from genbench.models.optional import DistillRun
from genbench.quality.evaluation import evaluate
from genbench.quality.request import QualityRequest
from genbench.records.kinds import QualityRecord
from genbench.records.protocols import EvalProtocol
from genbench.runtime.files import replacing
from genbench.runtime.validated import read_toml

_METRICS = ("fid", "precision", "recall")
_FRECHET = (METRICS["fid"].key, METRICS["fid"].generic_key)
BEST = "best.safetensors"


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

    Where a curve is measured, those of its lowest Fréchet distance are kept as `best.safetensors`
    and returned: the last state need not be the best. The figures depend on the weights at those
    steps alone, so a resumed run has the same curve.
    """
    if not curve.every:
        return begin(run)
    total = run.steps or _recipe_steps(run.config)
    legs = [*range(curve.every, total, curve.every), total]
    path = run.out / "curve.jsonl"
    measured: list[dict[str, float]] = []
    if path.exists():
        measured = [json.loads(line) for line in path.read_text().splitlines()]
    known = {line["step"] for line in measured}
    for steps in legs:
        if steps in known:
            continue
        weights = begin(replace(run, steps=steps))
        figures = _measured(weights, run, model, curve)
        if run.world.leads:
            values = {figure.metric: figure.value for figure in figures}
            line = {"step": steps, "samples": curve.samples, **values}
            lower = all(_distance(line) < _distance(other) for other in measured)
            if lower or not (run.out / BEST).exists():
                _keep(weights, run.out / BEST)
            measured.append(line)
            with replacing(path) as temporary:
                temporary.write_text("".join(json.dumps(line) + "\n" for line in measured))
            told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            run.reporter.note(f"after {steps} steps: {told}")
    if total in known:
        begin(replace(run, steps=total))
    if run.world.leads:
        lowest = min(measured, key=_distance)
        run.reporter.note(f"lowest distance of the curve: step {lowest['step']}, kept as {BEST}")
    return run.out / BEST


def _distance(line: Mapping[str, float]) -> float:
    """The Fréchet distance of a line of the curve."""
    return next(line[name] for name in _FRECHET if name in line)


def _keep(weights: Path, path: Path) -> None:
    with replacing(path) as temporary:
        shutil.copyfile(weights, temporary)


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
