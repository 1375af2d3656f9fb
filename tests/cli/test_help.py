"""Help, examples, completion, and images named without options."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.console import Console
from strangers import error_line, genbench

from genbench.cli import completion, console
from genbench.cli.app import app
from genbench.cli.examples import EXAMPLES
from genbench.cli.model_command import options_of, spelled
from genbench.metrics.catalogue import METRICS
from genbench.metrics.classical import CLASSICAL
from genbench.runtime.arithmetic import ARITHMETICS
from genbench.speed.audits import AUDITS

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_with_examples_under_both_names(command: str) -> None:
    short, long = genbench(command, "-h"), genbench(command, "--help")
    assert (short.returncode, short.stdout) == (0, long.stdout)
    for example in EXAMPLES[command]:
        assert example in short.stdout


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_can_be_given(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gen.py").touch()
    words = shlex.split(line)[1:]
    known = {"--install-completion"}
    if not words[0].startswith("-"):
        command = COMMANDS[words[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        models = [words[at + 1] for at, word in enumerate(words) if word == "--model"]
        known |= {spelled(option) for model in models for option in options_of(model)}
        if words[0] == "convert":
            known.add("--trust-pickle")
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= known


def test_help_shows_metrics_and_what_happens_by_default() -> None:
    shown = genbench("fid", "-h").stdout
    assert all(metric.key in shown for metric in CLASSICAL)
    assert "ls metrics" in " ".join(shown.split())
    listed = genbench("ls", "metrics").stdout
    assert all(key in listed for key in METRICS)
    for default in (
        "(the protocol's: 10,000 or 50,000)",
        "(of a model bundled at 32 pixels",
        "uniform",
    ):
        assert f"default: {default}" in shown
    for command in COMMANDS:
        lines = genbench(command, "-h").stdout.splitlines()
        assert not [line for line in lines if "default: 0]" in line and "--seed" not in line]


def test_help_knows_the_options_of_the_model_named() -> None:
    shown = genbench("fid", "--model", "biggan-deep", "-h").stdout
    assert "Options of biggan-deep" in shown
    (line,) = [line for line in shown.splitlines() if "--truncation  " in line]
    assert "<float>" in line
    assert "scales the latents" in line
    assert "default: 1.0" in line
    both = genbench("throughput", "-m", "hit", "--model=toy", "--help").stdout
    assert "Options of hit" in both
    assert "--contrast" in both
    assert "--plain" in genbench("check", "hit", "-h").stdout
    assert "─ Options of" not in genbench("fid", "-h").stdout


def test_help_of_a_function_shows_each_option_once_and_no_empty_default(tmp_path: Path) -> None:
    (tmp_path / "gen.py").touch()
    shown = genbench("fid", "--model", "gen.py:clouds", "-h", cwd=tmp_path).stdout
    assert shown.count("--decode ") == 1
    (line,) = [line for line in shown.splitlines() if "--latent  " in line]
    assert "default" not in line
    assert "default: empty" not in shown
    assert "did you mean hit" in error_line(genbench("fid", "--model", "hti", "-h"))


def completed(line: str) -> list[str]:
    words = line.split(" ")
    run = genbench(
        _GENBENCH_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    return run.stdout.split()


def test_the_shell_completes_names_and_options() -> None:
    assert completed("genbench fid --model hi") == ["hit"]
    assert completed("genbench fid --metric cov") == ["coverage"]
    assert completed("genbench fid --metric clipped") == ["clipped_coverage", "clipped_density"]
    assert completed("genbench distill emd --protocol bun") == ["bundled"]
    assert completed("genbench table hit-t") == ["hit-table1", "hit-throughput"]
    assert completed("genbench ref x --detector eff") == ["efficientnet-lite0"]
    assert completed("genbench throughput --gpu v100s-") == ["v100s-pcie"]
    assert completed("genbench audit adm-table1") == ["adm-table10"]
    assert completed("genbench ls prot") == ["protocols"]
    assert completed("genbench check to") == ["toy"]
    assert completed("genbench fid --detector-w") == ["--detector-weights"]
    assert completed("genbench fid --model biggan-deep --trunc") == ["--truncation"]
    assert completed("genbench fid --model nobody --trunc") == []


def test_completion_imports_no_torch_and_its_copies_are_current() -> None:
    names = ("models", "detectors", "protocols", "references", "metrics", "tables", "gpus", "lists",
             "audits")  # fmt: skip
    script = "import sys; import genbench.cli.app; from genbench.cli import completion as c\n"
    script += f"for name in {names}: assert getattr(c, name)('')\n"
    script += "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert list(completion.ARITHMETICS) == list(ARITHMETICS)
    assert list(completion.AUDITS) == list(AUDITS)


def test_images_need_no_options(tmp_path: Path) -> None:
    common = ("--metric", "precision", "--detector", "efficientnet-lite0", "--json", "--cache",
              tmp_path, "--records", tmp_path / "r.jsonl")  # fmt: skip
    loose = genbench("fid", "bundled[:12]", "bundled[12:24]", *common)
    named = genbench("fid", "--samples", "bundled[:12]", "--ref", "bundled[12:24]", *common)
    mixed = genbench("fid", "bundled[:12]", "--ref", "bundled[12:24]", *common)
    kept = [
        {key: json.loads(run.stdout)[key] for key in ("value", "samples_digest", "reference")}
        for run in (loose, named, mixed)
    ]
    assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a", "--model", "toy"), "--model toy already says what is measured, and so does a"),
        (("a", "--features", "f.npz"), "--features f.npz already says"),
        (("a", "--samples", "b"), "samples are named twice, a and --samples b"),
        (("a", "b", "--ref", "c"), "the reference is named twice, b and --ref c"),
        (("a", "b", "c"), "'c' is a third"),
        (("a", "-x"), "there is no option -x"),
        (("toy",), "toy is a model: genbench fid --model toy"),
        (("a", "--stepps", "3"), "there is no option --stepps"),
    ],
)
def test_images_named_twice_are_one_line(words: tuple[str, ...], told: str) -> None:
    run = genbench("fid", *words)
    assert told in error_line(run)
    assert run.returncode == 2


def test_doctor_is_one_screen_and_tells_all_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(console, "stdout", Console(file=out, width=100))
    assert genbench("doctor").returncode == 0
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert len(lines) <= 34  # more than 26 only where GPUs are, or more is missing
    assert max(map(len, lines)) <= 100
    for part in ("You can do now", "After a download", "Missing", "hit at 32", "protocol bundled"):
        assert part in out.getvalue()
    everything = [json.loads(line) for line in genbench("doctor", "--json").stdout.splitlines()]
    assert "detector clip-rn50x64" in {finding["subject"] for finding in everything}
    genbench("doctor", "--verbose")
    assert "detector clip-rn50x64: " in out.getvalue()
