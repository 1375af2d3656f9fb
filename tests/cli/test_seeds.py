"""`genbench fid --seeds`: one run a seed, and what they came to together."""

from __future__ import annotations

from typing import Any

import pytest
from made_records import made
from typer.testing import CliRunner

from genbench import api
from genbench.cli.app import app
from genbench.cli.seeds import named_seeds
from genbench.errors import UsageError
from genbench.records.kinds import QualityRecord
from genbench.tables.seed_listing import list_seeds
from genbench.tables.views import Results


def test_seeds_are_a_count_or_a_list() -> None:
    assert named_seeds("3", 0) == [0, 1, 2]
    assert named_seeds("2", 50_000) == [50_000, 50_001]
    assert named_seeds("0,5, 7,5", 9) == [0, 5, 7]


@pytest.mark.parametrize("text", ["", "1", "0", "-1", "x", "1.5", "50000", "7,", "-1,2"])
def test_what_names_no_several_runs_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        named_seeds(text, 0)


def runs_of(*values: float) -> list[Results[QualityRecord]]:
    return [
        Results([
            made("toy", "fd", value, seed=seed), made("toy", "recall", value / 10, seed=seed)
        ])
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_mean_deviation_and_best_stand_beside_every_run() -> None:
    listing = list_seeds(runs_of(3.0, 1.0, 2.0))
    assert listing.columns == (
        "metric", "samples", "seed 0", "seed 1", "seed 2", "mean", "deviation", "best",
    )  # fmt: skip
    assert listing.rows[0] == ("FD (efficientnet-lite0)", "10,000", "3", "1", "2", "2", "1", "1")
    assert listing.rows[1][2:] == ("0.3", "0.1", "0.2", "0.2", "0.1", "0.3")


def test_one_command_measures_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def evaluate(model: Any, *, found: Any, **_: Any) -> Results[QualityRecord]:
        seeds.append(model.request.seed)
        results: Results[QualityRecord] = runs_of(*range(1, 9))[model.request.seed]
        found(results)
        return results

    monkeypatch.setattr(api, "evaluate", evaluate)
    words = ["fid", "--model", "toy", "--res", "32", "--seed", "2", "--seeds", "3"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    assert seeds == [2, 3, 4]
    assert told.output.count("measured here") == 3
    assert "toy, 3 runs under protocol bundled" in told.output
    lines = CliRunner().invoke(app, [*words, "--json"]).output.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("{") for line in lines)


def test_a_protocol_whose_paper_prints_a_minimum_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Results([made("toy", "fid", 1.0, protocol="edm-imagenet64")])
    monkeypatch.setattr(api, "evaluate", lambda *_, **__: measured)
    words = ["fid", "--model", "toy", "--res", "32"]
    assert "prints the minimum of 3 runs: --seeds 3" in CliRunner().invoke(app, words).output
    measured = Results([made("toy", "fd", 1.0)])
    assert "runs" not in CliRunner().invoke(app, words).output


def test_images_are_one_run() -> None:
    told = CliRunner().invoke(app, ["fid", "bundled", "--seeds", "3"])
    assert isinstance(told.exception, UsageError)
    assert "--model" in str(told.exception)
