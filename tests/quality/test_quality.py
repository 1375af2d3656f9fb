"""`genbench fid` as a user calls it: figures, counts, intervals, resuming, sharing the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strangers import error_line, genbench

Record = dict[str, Any]
OFFLINE = ("--protocol", "bundled")
REQUIRED = {
    *("model", "resolution", "metric", "value", "unit", "samples", "detector", "protocol"),
    *("protocol_digest", "checkpoint", "seed", "run", "environment"),
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def measured(*words: str | Path, cache: Path) -> list[Record]:
    records = cache / "records.jsonl"
    run = genbench("fid", *words, "--json", "--cache", cache, "--records", records)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def values(records: list[Record]) -> dict[tuple[str, int], float]:
    return {(record["metric"], record["samples"]): record["value"] for record in records}


def test_a_record_has_what_a_citation_needs(cache: Path) -> None:
    records = measured(
        *("--model", "toy", "--res", "32", "--seed", "3", "-n", "60", "--ci"),
        *("--ref", "bundled[:60]", *OFFLINE, "--metric", "fd", "--metric", "precision"),
        cache=cache,
    )
    assert [record["metric"] for record in records] == ["fd", "precision"]
    for record in records:
        assert set(record) >= REQUIRED
        assert (record["model"], record["seed"], record["samples"]) == ("toy", 3, 60)
        assert (record["card"], record["weight_kind"]) == ("toy-32", "none")
        assert record["reference_samples"] == 60
        assert record["low"] <= record["value"] <= record["high"]
        assert "95%" in record["interval"]
        assert record["environment"]["packages"]["torch"]
        assert record["detector_identity"]
    assert "singular" in records[0]["notes"][0]
    kept = (cache / "records.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in kept][-2:] == records


def test_one_pass_gives_nested_counts(cache: Path) -> None:
    words = ("--model", "toy", "--res", "32", "--ref", "bundled[:80]", *OFFLINE)
    both = values(measured(*words, "-n", "70", "-n", "130", cache=cache))
    alone = values(measured(*words, "-n", "70", cache=cache))
    assert {count for _, count in both} == {70, 130}
    assert alone == {key: value for key, value in both.items() if key[1] == 70}


def test_batch_size_changes_no_bit(cache: Path, tmp_path: Path) -> None:
    words = ("--model", "toy", "--res", "32", "--ref", "bundled[:80]", *OFFLINE, "-n", "70")
    one = measured(*words, "--batch-size", "7", cache=tmp_path)
    other = measured(*words, "--batch-size", "64", cache=cache)
    assert values(one) == values(other)
    assert one[0]["samples_digest"] == other[0]["samples_digest"]


def test_worse_images_measure_worse(cache: Path, tmp_path: Path) -> None:
    from genbench.images.opening import open_image_set

    clean = open_image_set("bundled[200:400]").read(0, 200).permute(0, 2, 3, 1).numpy()
    noise = np.random.default_rng(0).normal(0, 1, clean.shape)
    distances = []
    for strength in (0, 12, 50, 120):
        path = tmp_path / f"noise{strength}.npz"
        np.savez(path, (clean + strength * noise).clip(0, 255).astype(np.uint8))
        words = ("--samples", path, "--ref", "bundled[:200]", *OFFLINE, "--metric", "fd")
        distances.append(measured(*words, "-n", "200", cache=cache)[0]["value"])
    assert distances == sorted(distances)


def test_lopsided_samples_show_in_precision_and_recall(cache: Path, tmp_path: Path) -> None:
    """All classes against one class: real images, so precise; the rest is missing, so no recall."""
    from genbench.images.opening import open_image_set

    bundled = open_image_set("bundled")
    assert bundled.labels is not None
    of_class = np.flatnonzero(bundled.labels == 5)
    one = np.stack([bundled.read(int(i), int(i) + 1)[0].numpy() for i in of_class[:150]])
    np.savez(tmp_path / "one.npz", one.transpose(0, 2, 3, 1))
    metrics = ("--metric", "precision", "--metric", "recall", "--metric", "coverage")
    found = values(
        measured(
            *("--samples", tmp_path / "one.npz", "--ref", "bundled[:600]", *OFFLINE, *metrics),
            cache=cache,
        )
    )
    assert found["precision", 150] > 0.6
    assert found["recall", 150] < 0.3
    assert found["coverage", 150] < 0.3


def test_own_features_need_no_images(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(2, 3000, 4)).astype(np.float32)
    np.savez(tmp_path / "a.npz", features=one, logits=np.zeros((3000, 5), np.float32))
    np.savez(tmp_path / "b.npz", features=two + np.float32(1.0))
    words = ("--features", tmp_path / "a.npz", "--ref-features", tmp_path / "b.npz")
    found = values(measured(*words, cache=tmp_path))
    assert found["fd", 3000] == pytest.approx(4.0, rel=0.1)  # |(1,1,1,1)|²
    assert found["cs", 3000] == pytest.approx(1.0)
    assert ("sfd", 3000) not in found


def test_results_on_stdout_and_words_on_stderr(cache: Path) -> None:
    run = genbench(
        *("fid", "--model", "toy", "-n", "60", "--ref", "bundled[:60]", *OFFLINE),
        *("--cache", cache, "--records", cache / "r.jsonl"),
    )
    assert run.returncode == 0
    assert "FD (efficientnet-lite0)" in run.stdout
    assert "FID" not in run.stdout
    assert "protocol bundled [" in run.stdout
    assert "kd left out" in run.stderr  # fewer samples than a KID subset
    assert "\r" not in run.stderr  # no progress bar where stderr is no terminal


def test_too_many_samples_asked_for(cache: Path) -> None:
    words = ("fid", "--samples", "bundled[:30]", "--ref", "bundled[:60]", *OFFLINE, "-n", "31")
    line = error_line(genbench(*words, "--cache", cache))
    assert "31" in line
    assert "-n 30" in line


def kill_when_a_shard_appears(words: list[str], cache: Path, seen: int) -> bool:
    """Start a run and kill -9 it once there are more than `seen` shards; False when it finished."""
    process = subprocess.Popen(
        [sys.executable, "-m", "genbench", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        if len(list(cache.rglob("*.npz"))) > seen:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.01)
    return False


def test_killed_runs_resume_to_the_same_bits(tmp_path: Path) -> None:
    words = [
        *("--samples", "bundled[:1200]", "--ref", "bundled[1200:1700]", *OFFLINE),
        *("--metric", "fd", "--metric", "precision", "--metric", "cs"),
    ]
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    arguments = ["fid", *words, "--cache", str(killed), "--records", str(tmp_path / "r")]
    kills = 0
    while kills < 6:
        seen = len(list(killed.rglob("*.npz")))
        if not kill_when_a_shard_appears(arguments, killed, seen):
            break
        kills += 1
    assert kills >= 2
    resumed = measured(*words, cache=killed)
    assert values(resumed) == values(measured(*words, cache=calm))


def test_damaged_and_half_written_shards_are_computed_again(cache: Path, tmp_path: Path) -> None:
    words = ("--samples", "bundled[:700]", "--ref", "bundled[:80]", *OFFLINE, "--metric", "fd")
    before = measured(*words, cache=tmp_path)
    shard = max(tmp_path.rglob("*-pool.npz"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-100])
    run = genbench("fid", *words, "--json", "--cache", tmp_path, "--records", tmp_path / "r")
    assert "was damaged" in run.stderr
    assert json.loads(run.stdout)["value"] == before[0]["value"]


def test_two_runs_share_one_cache(tmp_path: Path) -> None:
    words = ["--samples", "bundled[:600]", "--ref", "bundled[600:700]", *OFFLINE, "--metric", "fd"]
    command = [sys.executable, "-m", "genbench", "fid", *words, "--json"]
    command += ["--cache", str(tmp_path), "--records", str(tmp_path / "r")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(run.communicate()[0])["value"] for run in runs]
    assert results[0] == results[1]
    assert not list(tmp_path.rglob("*.tmp"))


HOSTS = """
import os, sys
from genbench.cli.app import main
cache = sys.argv.pop(1) + "/host" + os.environ["RANK"]
sys.argv += ["--cache", cache]
main()
"""


@pytest.mark.parametrize(("processes", "shared"), [(2, True), (3, False)])
def test_torchrun_gives_the_bits_of_one_process(
    processes: int, shared: bool, cache: Path, tmp_path: Path
) -> None:
    """On one host all processes share a cache; on several each has its own."""
    words = ["fid", "--model", "toy", "--res", "32", "-n", "1100", "--ref", "bundled[:600]"]
    words += [*OFFLINE, "--json", "--records", str(tmp_path / "records.jsonl")]
    script = tmp_path / "hosts.py"
    script.write_text(HOSTS)
    if shared:
        program = ["-m", "genbench", *words, "--cache", str(tmp_path)]
    else:
        program = [str(script), str(tmp_path), *words]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", *program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines()]
    alone = measured(*words[1:9], *OFFLINE, cache=cache)
    assert values(found) == values(alone)
    assert found[0]["environment"]["processes"] == processes


def test_ctrl_c_is_one_line_and_resumes(tmp_path: Path) -> None:
    words = ["--samples", "bundled[:3000]", "--ref", "bundled[3000:3100]", *OFFLINE]
    command = [sys.executable, "-m", "genbench", "fid", *words, "--metric", "fd"]
    command += ["--cache", str(tmp_path), "--records", str(tmp_path / "r")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background makes its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while process.poll() is None and len(list(tmp_path.rglob("*.npz"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.tmp"))


def test_reuse_computes_nothing_that_is_on_record_and_unchanged(tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    model = ("--model", "toy", "--res", "32", "-n", "70", "--ref", "bundled[:80]", *OFFLINE)
    files = ("--records", records, "--cache", tmp_path, "--json", "--reuse")

    def lines_after(*more: str) -> int:
        run = genbench("fid", *model, *files, *more)
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout)
        return len(records.read_text().splitlines())

    printed: list[str] = []
    assert lines_after() == 6  # kd needs more samples and is not waited for
    assert lines_after() == 6
    assert printed[0] == printed[1] != ""
    assert lines_after("--metric", "fd", "--seed", "1") == 7
    assert lines_after("--metric", "fd", "--ci") == 8  # a record without interval does not serve
    assert lines_after("--metric", "fd", "--ci") == 8
