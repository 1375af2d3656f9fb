"""Machines and terminals as they are found: no home, ~, other encodings, leftovers of torchrun."""

from __future__ import annotations

import io
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strangers import error_line, genbench

from genbench.cli.app import main
from genbench.errors import GenbenchError
from genbench.images.opening import open_image_set
from genbench.runtime import distributed, folders

SMALL = (
    *("--samples", "bundled[:12]", "--ref", "bundled[12:24]", "--metric", "fd"),
    *("--detector", "efficientnet-lite0"),
)


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(Path, "expanduser", no_home)
    for name in ("TORCH_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_home_two_variables_are_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    homeless(monkeypatch)
    monkeypatch.delenv("GENBENCH_CACHE", raising=False)
    line = error_line(genbench("doctor", GENBENCH_CACHE="", GENBENCH_RECORDS=""))
    assert "set GENBENCH_CACHE and GENBENCH_RECORDS" in line
    monkeypatch.undo()
    homeless(monkeypatch)
    monkeypatch.setattr(folders, "expanded", lambda given, name="": Path(given))
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    assert folders.torch_hub_folder() == tmp_path / "torch" / "hub"
    assert folders.cache_folder() == tmp_path


def test_a_home_that_is_nobodys_is_named() -> None:
    line = error_line(genbench("doctor", GENBENCH_CACHE="~nobody-of-that-name/x"))
    assert "GENBENCH_CACHE=~nobody-of-that-name/x" in line


def test_a_tilde_is_the_home_folder_wherever_it_stands(tmp_path: Path) -> None:
    home: dict[str, Any] = {"HOME": str(tmp_path / "home"), "GENBENCH_RECORDS": "~/r2.jsonl"}
    np.savez(tmp_path / "x.npz", open_image_set("bundled[:12]").read(0, 12).permute(0, 2, 3, 1))
    (tmp_path / "home").mkdir()
    for records in (["--records=~/r1.jsonl"], ["--records", "~/r3.jsonl"], []):
        run = genbench("fid", *SMALL, "--cache=~/c", *records, cwd=tmp_path, **home)
        assert run.returncode == 0, run.stderr
    run = genbench("sample", "--model", "toy", "-n", "2", "--out=~/t.npz", cwd=tmp_path, **home)
    assert run.returncode == 0, run.stderr
    found = {path.name for path in (tmp_path / "home").iterdir()}
    assert {"r1.jsonl", "r2.jsonl", "r3.jsonl", "c", "t.npz"} <= found
    assert not (tmp_path / "~").exists()


def test_a_terminal_that_is_not_utf8_gets_the_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = io.BytesIO()
    words = ["genbench", "fid", *SMALL, "--cache", str(tmp_path), "--records", "/dev/null"]
    monkeypatch.setattr("sys.argv", words)
    with io.TextIOWrapper(shown, encoding="ascii") as out:
        monkeypatch.setattr("sys.stdout", out)
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        out.flush()
        text = shown.getvalue().decode("ascii")
    assert "bundled[0:12] 32?32, measured here" in text
    assert "FD (efficientnet-lite0)" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 without RANK and MASTER_ADDR and MASTER_PORT: start"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE=2 without MASTER_ADDR"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two is no number"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, "RANK=2"),
    ],
)
def test_leftovers_of_torchrun_are_one_line(given: dict[str, Any], said: str) -> None:
    run = genbench("fid", *SMALL, **given)
    assert said in error_line(run)
    assert run.returncode == 2


def test_an_empty_world_size_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "")
    assert distributed.world_of_environment() == distributed.World()


def test_processes_that_never_come_are_not_waited_for_all_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "_COMING", timedelta(seconds=1))
    told = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    said = "2 processes of this run did not come together"
    with pytest.raises(GenbenchError, match=said), distributed.joined_world():
        pass


def test_a_folder_named_as_a_built_in_set_is_told(tmp_path: Path) -> None:
    (tmp_path / "bundled").mkdir()
    words = ("fid", "--samples", "bundled", "--ref", "x", "-n", "20000")
    run = genbench(*words, cwd=tmp_path)
    assert "bundled is genbench's own image set; for what lies here write ./bundled" in run.stderr


def test_a_reference_file_must_be_named_as_one(tmp_path: Path) -> None:
    run = genbench("ref", "bundled[:9]", "--out", tmp_path / "stats")
    assert "ends in .npz" in error_line(run)


def test_a_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "p.md"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    run = genbench("table", "bundled", "--out", pipe, cwd=tmp_path)
    reader.join(timeout=20)
    assert run.returncode == 0, run.stderr
    assert "| HiT |" in read[0]
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    "words",
    [
        ("fid", "--samples", "p.npz", "--ref", "bundled[:9]"),
        ("fid", "--samples", "p.zip", "--ref", "bundled[:9]"),
        ("fid", "--samples", "bundled[:9]", "--ref", "p.npz"),
        ("fid", "--features", "p.npz"),
        (
            "sample",
            "--model",
            "hit",
            "--res",
            "32",
            "--checkpoint",
            "p.npz",
            "-n",
            "1",
            "--out",
            "y",
        ),
        ("report", "--records", "p.jsonl"),
    ],
)
def test_a_pipe_is_no_input(tmp_path: Path, words: tuple[str, ...]) -> None:
    for name in ("p.npz", "p.zip", "p.jsonl"):
        os.mkfifo(tmp_path / name)
    assert "is a device or a pipe: save it as a file first" in error_line(
        genbench(*words, cwd=tmp_path)
    )


def test_records_into_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    run = genbench("fid", *SMALL, "--records", tmp_path / "p", "--cache", tmp_path / "c")
    assert "cannot write" in run.stderr
    assert "measured here" in run.stdout


@pytest.mark.parametrize("command", ["table", "report"])
def test_what_is_read_is_not_written_over(tmp_path: Path, command: str) -> None:
    records = tmp_path / "own.md"
    assert genbench("fid", *SMALL, "--records", records, "--cache", tmp_path / "c").returncode == 0
    text = records.read_text()
    words = ("table", "bundled") if command == "table" else ("report",)
    line = error_line(genbench(*words, "--records", records, "--out", records))
    assert "is read by this command" in line
    assert records.read_text() == text


def test_a_terminal_without_width_gets_the_figures(tmp_path: Path) -> None:
    words = ("fid", *SMALL, "--records", tmp_path / "r.jsonl", "--cache", tmp_path / "c")
    assert genbench(*words, COLUMNS="0").returncode == 0
    assert genbench("ls", "models", COLUMNS="0").returncode == 0


@pytest.mark.parametrize("text", ["CUBLAS_STATUS_ALLOC_FAILED when calling", "CUDA out of memory"])
def test_memory_that_runs_out_is_one_line_in_whatever_words(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(**_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("genbench.cli.app.app", short)
    run = genbench("fid", *SMALL)
    assert "out of memory: free some, or lower --block, or use --device cpu" in error_line(run)
    assert run.returncode == 1
    monkeypatch.undo()
    monkeypatch.setattr("genbench.tables.compared_runs.named_run", lambda *_: short())
    run = genbench("gate", "base", "--samples", "x.npz")
    assert "out of memory, and nothing was decided" in error_line(run)
    assert run.returncode == 3
