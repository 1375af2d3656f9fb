"""`genbench gate`: boundaries, decisions at a known difference, and the command with its codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_records import made
from strangers import error_line, genbench
from torch import Tensor
from typer.main import get_group

from genbench.cli.app import app
from genbench.metrics.influence import Influence
from genbench.quality import reading
from genbench.records.influences import keep_influences
from genbench.records.kinds import QualityRecord
from genbench.verdicts.gate import Gate, gate
from genbench.verdicts.margins import Margin
from genbench.verdicts.sequential import boundaries, spent

FIGURE = made("toy", "fd", 0.0)
COUNTS = (25, 50, 100, 200)


def test_boundaries_are_the_published_ones() -> None:
    """Lan and DeMets' of O'Brien and Fleming's kind, one-sided 2.5%, as gsDesign tables them."""
    assert boundaries([0.25, 0.5, 0.75, 1], 0.025) == pytest.approx(
        [4.333, 2.963, 2.359, 2.014], abs=1e-3
    )
    assert boundaries([1.0], 0.05) == pytest.approx([1.644854])
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert spent(0.0, 0.05) == 0.0


def of_means(folder: Path, run: str, rows: np.ndarray, seed: int) -> list[QualityRecord]:
    """The figure "fd" as the mean of rows, at every count, with its influences."""
    found, kept = [], {}
    for count in COUNTS:
        part = rows[:count]
        value, half = float(part.mean()), 1.96 * float(part.std(ddof=1)) / count**0.5
        kept["fd", count] = (value, Influence(rows=part))
        found.append(
            replace(FIGURE, value=value, low=value - half, high=value + half, samples=count,
                    run=run, seed=seed)
        )  # fmt: skip
    keep_influences(folder, run, kept)
    return found


def decided(folder: Path, rng: np.random.Generator, worse: float, margin: Margin, *, paired: bool
            ) -> Gate:  # fmt: skip
    """The gate on figures about 10 whose second is worse by `worse` in truth."""
    noise, own = rng.normal(size=(2, COUNTS[-1]))
    second = 0.9 * noise + 0.19**0.5 * own if paired else own
    first = of_means(folder, "a", 10 + noise, seed=0)
    found = of_means(folder, "b", 10 + worse + second, seed=0 if paired else 1)
    figures = {record.samples: record for record in found}
    return gate(first, [folder], figures.__getitem__, margin=margin)


def test_boundaries_spend_their_level_over_all_looks() -> None:
    shares = np.array([0.125, 0.25, 0.5, 1.0])
    rng = np.random.default_rng(1)
    sums = (rng.normal(size=(100_000, 4)) * np.sqrt(np.diff([0.0, *shares]))).cumsum(axis=1)
    beyond = sums / np.sqrt(shares) > boundaries(shares.tolist(), 0.05)
    assert beyond.any(axis=1).mean() == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("paired", [True, False])
def test_false_alarms_at_the_margins_edge_are_few(tmp_path: Path, paired: bool) -> None:
    """A margin of 2% of 10, and a model worse by just that: about 1 of 40 either way."""
    rng = np.random.default_rng(2)
    told = [
        decided(tmp_path, rng, 0.2, Margin(share=0.02), paired=paired).decision for _ in range(40)
    ]
    assert told.count("worse") <= 4
    assert told.count("not worse") <= 4
    assert told.count("inconclusive") < 40


def test_what_is_clear_stops_early_either_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for worse, decision in ((1.5, "worse"), (-1.5, "not worse")):
        found = decided(tmp_path, rng, worse, Margin(absolute=0.1), paired=True)
        assert found.decision == decision
        assert len(found.looks) < len(COUNTS)
        assert found.looks[-1].paired


class MeanColour:
    """A detector whose features are known: the mean of each channel."""

    name = "efficientnet-lite0"
    layers: Mapping[str, int] = {"pool": 3}
    identity: Mapping[str, str] = {"weights_sha256": "none"}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {"pool": images.float().mean(dim=(2, 3))}


def save(path: Path, colours: np.ndarray) -> None:
    images = np.broadcast_to(colours.astype(np.uint8)[:, None, None], (len(colours), 8, 8, 3))
    np.savez(path, images)


def test_the_command_measures_as_the_baseline_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A baseline from `fid --ci`; the same images pass, darker ones fail, others cannot be told."""
    monkeypatch.setattr(reading, "create_detector", lambda *_, **__: MeanColour())
    rng = np.random.default_rng(4)
    colours = rng.integers(60, 120, (200, 3))
    save(tmp_path / "reference.npz", rng.integers(70, 140, (200, 3)))
    save(tmp_path / "base.npz", colours)
    save(tmp_path / "dark.npz", colours - 40)
    save(tmp_path / "new.npz", rng.integers(60, 120, (200, 3)))
    save(tmp_path / "few.npz", colours[:30])
    (tmp_path / "broken.npz").write_bytes(b"PK")
    records, ref = tmp_path / "runs.jsonl", ("--ref", tmp_path / "reference.npz")
    common = ("--cache", tmp_path / "cache", "--device", "cpu")
    words = ("fid", "--samples", tmp_path / "base.npz", *ref, "--detector", "efficientnet-lite0",
             "--metric", "fd", "--ci", "--records", records)  # fmt: skip
    done = genbench(*words, "-n", "50", "-n", "100", "-n", "200", "--name", "base", *common)
    assert done.returncode == 0, done.stderr
    assert genbench(*words[:-3], "--records", records, "--name", "bare", *common).returncode == 0

    def asked(name: str, *more: str | Path) -> tuple[int, dict[str, object]]:
        run = genbench("gate", "base", "--samples", tmp_path / name, *ref, *common, "--records",
                       records, "--json", *more)  # fmt: skip
        assert run.stdout, run.stderr
        return run.returncode, json.loads(run.stdout)

    code, found = asked("base.npz")
    assert (code, found["decision"]) == (0, "not worse")
    code, found = asked("dark.npz")
    assert (code, found["decision"]) == (1, "worse")
    code, found = asked("new.npz", "--margin", "10%")
    assert (code, found["decision"]) == (0, "inconclusive")
    looks = found["looks"]
    assert isinstance(looks, list)
    assert [look["samples"] for look in looks] == [50, 100, 200]
    assert asked("new.npz", "--margin", "10%", "--strict")[0] == 1
    told = genbench("gate", "base", "--samples", tmp_path / "dark.npz", *ref, *common, "--records",
                    records)  # fmt: skip
    assert "worse: fd" in told.stdout
    refusals: tuple[tuple[int, str, tuple[str | Path, ...]], ...] = (
        (2, "exactly one of", ("base",)),
        (2, "no recall on record", ("base", "--samples", "x.npz", "--metric", "recall")),
        (2, "measure it again with --ci", ("bare", "--samples", tmp_path / "new.npz")),
        (2, "does not compare: fd: reference",
         ("base", "--samples", tmp_path / "new.npz", "--ref", tmp_path / "dark.npz")),
        (3, "nothing was decided", ("base", "--samples", tmp_path / "broken.npz", *ref)),
        (2, "30", ("base", "--samples", tmp_path / "few.npz", *ref)),
    )  # fmt: skip
    for expected, said, asking in refusals:
        run = genbench("gate", *asking, "--records", records, *common)
        assert said in error_line(run)
        assert run.returncode == expected, run.stderr


def test_the_workflow_of_the_docs_gives_commands_that_there_are() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the workflow")
    page = Path(__file__).parents[2] / "docs" / "gate-workflow.yml"
    workflow = yaml.safe_load(page.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all("@v" in step["uses"] for step in steps if "uses" in step)
    lines = [step["run"] for step in steps if step.get("run", "").startswith("genbench")]
    assert [line.split()[1] for line in lines] == ["fid", "gate"]
    commands = get_group(app).commands
    for line in lines:
        words = line.replace("$MEASURE", workflow["env"]["MEASURE"]).split(" > ")[0].split()
        known = {name for option in commands[words[1]].params for name in option.opts}
        assert {word for word in words if word.startswith("-")} <= known
