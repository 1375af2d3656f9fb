"""Arrays of tasks that never talk to one another: shares, then `genbench merge`."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from strangers import error_line, genbench

from genbench.records.store import read_records

WORDS = (
    *("--model", "toy", "--res", "32", "-n", "540", "--protocol", "bundled", "--device", "cpu"),
    *("--ref", "bundled[:40]", "--metric", "fd", "--metric", "recall"),
)


def ran(command: str, *words: str | Path) -> str:
    run = genbench(command, *WORDS, *words)
    assert run.returncode == 0, run.stderr
    return run.stderr


def figures(path: Path) -> list[float]:
    return [record.value for record in read_records(path)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """The cache of one process, and its figures."""
    folder = tmp_path_factory.mktemp("alone")
    ran("fid", "--cache", folder, "--records", folder / "r.jsonl")
    return folder, figures(folder / "r.jsonl")


def test_an_array_gives_the_figures_of_one_process(
    tmp_path: Path, alone: tuple[Path, list[float]]
) -> None:
    here, there, out = tmp_path / "here", tmp_path / "there", tmp_path / "r.jsonl"
    told = ran("fid", "--shard", "1/2", "--cache", here, "--records", out)
    assert (
        "share 1/2 of toy, 1 shard (540 samples are 2 shards of 500), is in "
        f"{here}/features, no figures yet: genbench merge"
    ) in told
    line = error_line(genbench("merge", *WORDS, "--cache", here, "--records", out))
    assert "shards are missing" in line or "none of its" in line
    assert "this computes them: genbench fid --model toy --res 32 -n 540" in line
    ran("fid", "--shard", "2/2", "--cache", there, "--records", out)
    assert not out.exists()
    kept = {path: path.read_bytes() for path in there.rglob("*.npz")}
    told = ran("merge", "--cache", here, "--from", there, "--records", out)
    assert figures(out) == alone[1]
    assert {path: path.read_bytes() for path in there.rglob("*.npz")} == kept


def test_options_that_differ_are_other_shards(alone: tuple[Path, list[float]]) -> None:
    cache, _ = alone
    run = genbench("merge", *WORDS, "--seed", "3", "--cache", cache, "--records", cache / "x")
    line = error_line(run)
    assert "toy → efficientnet-lite0: none of its 2 shards is in" in line
    assert "--seed 3" in line


def test_a_damaged_shard_is_named_and_computed_again(
    tmp_path: Path, alone: tuple[Path, list[float]]
) -> None:
    cache, expected = alone
    shard = next(path for path in cache.rglob("000001-pool.npz"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    told = error_line(genbench("merge", *WORDS, "--cache", cache, "--records", tmp_path / "r"))
    assert "1 of 2 shards are missing" in told
    assert "(1 files were damaged): 1;" in told
    assert not shard.exists()
    ran("fid", "--shard", "pull", "--cache", cache, "--records", tmp_path / "r")
    ran("merge", "--cache", cache, "--records", tmp_path / "r")
    assert shard.read_bytes() == whole
    assert figures(tmp_path / "r") == expected


def test_shards_and_records_at_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: tuple[Path, list[float]]
) -> None:
    store = f"memory://{uuid.uuid4().hex}/genbench"
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "usual"))
    told = ran("fid", "--store", store, "--shard", "1/2", "--from", alone[0])
    assert f"is in {store}/features" in told
    ran("merge", "--store", store, "--from", alone[0])
    assert figures(Path(f"{store}/records.jsonl")) == alone[1]
    table = genbench("table", "--from-records", "--records", f"{store}/records.jsonl")
    assert "toy" in table.stdout
    assert not list(Path().glob("memory:*"))


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    run = genbench("fid", *WORDS, "--shard", "pull", "--cache", tmp_path / "file" / "c")
    assert "cannot write" in error_line(run)
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fid", *WORDS, "--shard", "17/16"), "shares are counted from 1/16 to 16/16"),
        (("merge", *WORDS, "--shard", "1/2"), "merge takes all shards"),
        (("fid", "--features", "f.npz", "--shard", "1/2"), "nothing of them is left to be shared"),
        (("fid", *WORDS, "--store", "nosuch://x"), "no store can be opened there"),
    ],
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    run = genbench(*words)
    assert told in error_line(run)
    assert run.returncode == 2
