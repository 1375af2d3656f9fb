"""Figures measured again: equal, or told by how much and why not."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from made_records import made, speed
from strangers import error_line, genbench

from genbench.errors import GenbenchError
from genbench.records.kinds import QualityRecord, Record, TargetFacts
from genbench.records.lines import to_line
from genbench.records.measurement import Environment
from genbench.records.protocols import choose_protocol, load_protocols, with_weights
from genbench.records.store import read_records
from genbench.reproducing.commands import evaluations
from genbench.reproducing.comparing import TOLERANCE, differences, reproduced
from genbench.reproducing.opening import wanted
from genbench.reproducing.packages import pins
from genbench.reproducing.protocols import recorded_protocol
from genbench.reproducing.recipe import base_image, recipe
from genbench.reproducing.script import script

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of a small run of the toy model."""
    folder = tmp_path_factory.mktemp("kept")
    run = genbench(
        "fid", "--model", "toy", "--res", "32", "--seed", "3", "--ref", "bundled[:64]",
        "--protocol", "bundled", "-n", "40", "-n", "60", "--metric", "fd", "--metric", "precision",
        "--ci", "--name", "small", "--cache", folder / "cache", "--records", folder / "runs.jsonl",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return folder / "runs.jsonl"


def written(path: Path, *records: Record) -> Path:
    path.write_text("".join(f"{to_line(record)}\n" for record in records))
    return path


def placed(record: QualityRecord, **change: Any) -> QualityRecord:
    return replace(record, environment=replace(record.environment, **change))


def figures(path: Path) -> list[QualityRecord]:
    return [record for record in read_records(path) if isinstance(record, QualityRecord)]


def test_a_run_is_the_same_to_the_last_digit(kept: Path) -> None:
    run = genbench("reproduce", "small", "--run", "--json", "--records", kept)
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(item["metric"], item["samples"]) for item in found] == [
        ("fd", 40), ("precision", 40), ("fd", 60), ("precision", 60),
    ]  # fmt: skip
    assert {item["verdict"] for item in found} == {"equal"}
    assert [item["recorded"] for item in found] == [item.value for item in figures(kept)]


def test_a_record_edited_by_hand_is_found(kept: Path, tmp_path: Path) -> None:
    fd = figures(kept)[0]
    edited = written(tmp_path / "edited.jsonl", replace(fd, value=fd.value * 1.01, low=0, high=1e9))
    run = genbench("reproduce", f"{edited}:1", "--measured", kept)
    assert run.returncode == 1
    assert "within its interval" in run.stdout
    assert "1 of 1 figures are not those on record" in error_line(run)


def test_figures_measured_elsewhere_are_compared_and_what_differs_is_named(
    kept: Path, tmp_path: Path
) -> None:
    place = figures(kept)[0].environment
    older = replace(place, packages=dict(place.packages) | {"torch": "2.13.0"}, threads=64,
                    instructions="AVX2", genbench="0.0.9")  # fmt: skip
    other = written(
        tmp_path / "old.jsonl", *(replace(item, environment=older) for item in figures(kept))
    )
    run = genbench("reproduce", other, "--measured", kept)
    assert run.returncode == 0
    assert "equal" in run.stdout
    for what in ("torch", "2.13.0", "CPU instructions", "AVX2", "threads", "genbench", "0.0.9"):
        assert what in run.stdout
    lacking = genbench("reproduce", other, "--measured", f"{written(tmp_path / 'n.jsonl')}")
    assert lacking.returncode == 1
    assert "not measured" in lacking.stdout


@pytest.mark.parametrize(
    ("value", "change", "verdict"),
    [
        (100.0, {}, "equal"),
        (100.0 * (1 + TOLERANCE / 2), {}, "equal but for rounding"),
        (100.0 * (1 + TOLERANCE * 2), {}, "within its interval"),
        (104.0, {}, "different"),
        (100.0, {"reference_digest": "other"}, "different"),
        (100.0, {"training_digest": "other"}, "different"),
        (100.0, {"samples": 9_999}, "not measured"),
        (100.0, {"seed": 1}, "not measured"),
        (100.0, {"protocol_digest": "other"}, "not measured"),
    ],
)
def test_verdicts(value: float, change: dict[str, Any], verdict: str) -> None:
    record = made("hit", "fd", 100.0, card="hit-32", low=98.0, high=102.0)
    (found,) = reproduced([record], [replace(record, value=value, **change)])
    assert found.verdict == verdict
    assert found.holds == verdict.startswith("equal")


def test_other_kernels_may_move_more_and_are_named() -> None:
    record = placed(made("hit", "fd", 100.0, card="hit-32"), instructions="AVX512")
    other = placed(replace(record, value=100.01), instructions="AVX2", genbench="0.2")
    (found,) = reproduced([record], [other])
    assert (found.verdict, found.why) == ("equal but for rounding", "another CPU instructions")
    (found,) = reproduced([record], [placed(other, instructions="AVX512")])
    assert found.verdict == "different"
    (found,) = reproduced([record], [replace(other, value=101.0)])
    assert found.verdict == "different"


def test_kernels_of_our_own_may_move_as_much() -> None:
    record = made("adm-guided", "fd", 100.0, card="adm-guided-32", kernels="group norms")
    (found,) = reproduced([record], [replace(record, value=100.01, kernels=None)])
    assert (found.verdict, found.why) == ("equal but for rounding", "another kernels")


def test_a_record_older_than_an_option_is_found_again() -> None:
    old = made("adm-guided", "fd", 100.0, card="adm-guided-32", options={"steps": 25})
    now = replace(old, options={"steps": 25, "norms": "auto", "graph": False})
    other = replace(now, options={**now.options, "steps": 50}, value=3.0)
    (found,) = reproduced([old], [now, other])
    assert found.verdict == "equal"
    (found,) = reproduced([now], [replace(now, options={**now.options, "norms": "plain"})])
    assert found.verdict == "not measured"


def test_what_only_one_record_tells_is_no_difference() -> None:
    record = made("hit", "fd", 1.0)
    told = replace(record, environment=replace(record.environment, system="Debian"))
    assert not differences(record, told)
    assert not differences(told, record)


def test_commands_come_from_fields_and_files_from_variables(tmp_path: Path) -> None:
    (tmp_path / "my weights.pt").write_bytes(b"w")
    digest = "50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326"
    stored = ("genbench", "fid", "--model", "hit", "--checkpoint", str(tmp_path / "my weights.pt"),
              "--ref", "it's here")  # fmt: skip
    record = made(
        "hit", "fd", 1.0, card="hit-32", checkpoint_digest=digest, weight_kind="given",
        options={"plain": True, "scale": -1.5, "name": "a;b", "none": None}, labels="balanced",
        block=25, arithmetic="bfloat16", reference="x", reference_digest="d", interval="95%",
        environment=Environment(command=stored, device_type="cpu", threads=2),
    )  # fmt: skip
    text = script("a\nname", evaluations([record]))
    (tmp_path / "genbench").write_text('#!/bin/sh\nfor w in "$@"; do echo "<$w>"; done\n')
    (tmp_path / "genbench").chmod(0o755)
    (tmp_path / "run.sh").write_text(text)
    run = subprocess.run(
        ["sh", "run.sh"], cwd=tmp_path, capture_output=True, text=True, timeout=20,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "REFERENCE": "there"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    words = [line[1:-1] for line in run.stdout.splitlines()]
    given = dict(pairwise(words))
    assert given["--checkpoint"] == str(tmp_path / "my weights.pt")
    assert given["--ref"] == "there"
    assert (given["--labels"], given["--dtype"], given["-n"]) == ("balanced", "bfloat16", "10000")
    assert {"--plain=true", "--scale=-1.5", "--name=a;b", "--ci"} <= set(words)
    assert not [word for word in words if "none" in word]
    (tmp_path / "my weights.pt").write_bytes(b"other")
    spoilt = subprocess.run(
        ["sh", "run.sh"], cwd=tmp_path, capture_output=True, text=True, timeout=20,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    assert spoilt.returncode != 0
    assert not spoilt.stdout


def test_metrics_at_their_own_counts_and_speeds_are_commands_of_their_own() -> None:
    records: list[Record] = [
        made("hit", "fd", 1.0, card="hit-32", samples=100),
        made("hit", "fd", 1.0, card="hit-32", samples=200),
        made("hit", "recall", 1.0, card="hit-32", samples=200),
        speed("hit", 9.0, card="hit-32", batch=8),
        speed(
            "hit",
            9.0,
            card="hit-32",
            batch=8,
            tier="theoretical",
            target=TargetFacts(gpu="v100-sxm2", how="peak"),
        ),
    ]
    first, second, timed = evaluations(records)
    assert "-n 100 --metric fd" in first.shown()
    assert "-n 200 --metric fd --metric recall" in second.shown()
    assert "throughput --model hit" in timed.shown()
    assert "--batch 8 --gpu v100-sxm2" in timed.shown()
    assert "times are of the machine" in timed.notes[0]


def test_images_without_a_model_name_their_path_and_digest() -> None:
    stored = ("genbench", "fid", "a.npz[:50]", "bundled", "--protocol", "bundled")
    record = made("a.npz", "fd", 1.0, samples_digest="dd", reference="bundled",
                  reference_digest="rr", environment=Environment(command=stored))  # fmt: skip
    (one,) = evaluations([record])
    assert "--samples 'a.npz[:50]' --ref bundled" in one.shown()
    assert one.needs[0].variable == "SAMPLES"
    assert "[dd]" in one.needs[0].told
    assert shlex.join(stored) in one.notes[0]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"detector": "vgg16"},
        {"preprocessing": "lite0_clean"},
        {"crop": "adm"},
        {"crop": "resize", "detector": "inception", "preprocessing": "cleanfid_clean"},
    ],
)
def test_a_changed_protocol_is_found_by_its_digest(change: dict[str, str]) -> None:
    protocol = choose_protocol("bundled", **change)  # type: ignore[arg-type]
    record = made("x", "fd", 1.0, detector=protocol.detector, protocol_digest=protocol.digest())
    found = recorded_protocol(replace(record, protocol=protocol.name))
    assert found.protocol == protocol
    for option, value in change.items():
        assert f"--{option} {value}" in " ".join(found.words)


def test_a_protocol_with_weights_of_ones_own_needs_them() -> None:
    protocol = with_weights(load_protocols()["bundled"], DIGEST)
    record = made("x", "fd", 1.0, protocol_digest=protocol.digest(),
                  detector_identity={"weights_sha256": DIGEST})  # fmt: skip
    record = replace(record, protocol=protocol.name)
    assert recorded_protocol(record).weights == DIGEST
    (one,) = evaluations([record])
    assert [need.sha256 for need in one.needs if need.variable == "DETECTOR_WEIGHTS"] == [DIGEST]


def test_an_unknown_protocol_is_told_and_stops_a_run(tmp_path: Path) -> None:
    record = made("toy", "fd", 1.0, card="toy-32", protocol_digest="0", checkpoint="")
    told = "protocol bundled is [0] on record"
    assert told in genbench("reproduce", written(tmp_path / "r.jsonl", record)).stdout
    run = genbench("reproduce", tmp_path / "r.jsonl", "--run")
    assert told in error_line(run)
    assert run.returncode == 1


def test_the_container_has_every_pin(kept: Path, tmp_path: Path) -> None:
    run = genbench("reproduce", "small", "--out", tmp_path / "again", "--records", kept)
    assert run.returncode == 0, run.stderr
    first = figures(kept)[0]
    texts = {path.name: path.read_text() for path in (tmp_path / "again").iterdir()}
    lock = texts["requirements.lock"].splitlines()
    for name, version in first.environment.packages.items():
        assert f"{name}=={version}" in lock
    assert f"pydantic=={__import__('pydantic').VERSION}" in lock  # this is that environment
    docker = texts["Dockerfile"].splitlines()
    assert f"python:{first.environment.python}-slim" in texts["Dockerfile"]
    assert any(line.startswith("RUN pip install") and "requirements.lock" in line
               for line in docker)  # fmt: skip
    assert first.environment.git.removesuffix("+changes") in texts["Dockerfile"]
    assert docker[-1] == 'CMD ["sh", "run.sh"]'
    assert "@sha256:" not in next(line for line in docker if line.startswith("FROM"))
    assert "no digest of this image is on record" in texts["Dockerfile"]
    assert texts["expected.jsonl"] == "".join(f"{to_line(item)}\n" for item in figures(kept))
    assert all("http" not in text for name, text in texts.items() if name != "expected.jsonl")
    assert subprocess.run(["sh", "-n", tmp_path / "again" / "run.sh"], timeout=20).returncode == 0
    again = genbench("reproduce", "small", "--out", tmp_path / "again", "--records", kept)
    assert "holds something: name a new folder" in error_line(again)


def test_images_to_build_on() -> None:
    record = placed(made("toy", "fd", 1.0, card="toy-32"), python="3.12.1", git="")
    debian = placed(record, system="Debian GNU/Linux 12 (bookworm)", platform="Linux-x86_64",
                    packages={"torch": "2.13.0"})  # fmt: skip
    assert base_image([record]) == "python:3.12.1-slim"
    assert base_image([debian]) == "python:3.12.1-slim-bookworm"
    image = f"python:3.12.1-slim@sha256:{DIGEST}"
    files = recipe("r", evaluations([debian]), base=image)
    assert f"FROM --platform=linux/amd64 {image}" in files["Dockerfile"].splitlines()
    assert "no digest" not in files["Dockerfile"]
    assert "another" in files["requirements.lock"]  # whose other packages nobody told
    with pytest.raises(GenbenchError, match="is no image"):
        recipe("r", evaluations([debian]), base="x\nRUN rm -rf /")


@pytest.mark.parametrize(
    "change",
    [
        {"packages": {"torch": "1\nRUN rm"}},
        {"packages": {"torch @ file:///x": "1"}},
        {"packages": {}},
        {"python": "3.11.7\nRUN rm"},
        {"python": ""},
    ],
)
def test_a_forged_environment_makes_no_container(change: dict[str, Any]) -> None:
    record = placed(made("toy", "fd", 1.0, card="toy-32"), **{"python": "3.11.7"} | change)
    with pytest.raises(GenbenchError):
        recipe("r", evaluations([record]))


def test_text_of_a_record_stays_in_comments() -> None:
    record = placed(made("toy", "fd", 1.0, card="toy-32\nRUN rm", run="r\nRUN rm"),
                    python="3.11.7", device="a\nCPU")  # fmt: skip
    record = replace(record, options={"$(rm)": f"x {DIGEST}"})
    files = recipe("n\nRUN rm", evaluations([record]))
    for name in ("Dockerfile", "requirements.lock", "README.md"):
        assert not [line for line in files[name].splitlines() if line.startswith("RUN rm")]
    assert '"$__RM_"' in files["run.sh"]


def test_several_environments_are_refused() -> None:
    record = made("toy", "fd", 1.0, card="toy-32")
    with pytest.raises(GenbenchError, match="several environments"):
        pins([record, placed(record, packages={"torch": "1.0"})])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing",), "no run nothing is on record"),
        (("no/runs.jsonl",), "there is no record file no/runs.jsonl"),
        (("no.genbench",), "there is no bundle no.genbench"),
        (("KEPT:0",), "has the lines 1 to 4, and no line 0"),
        (("KEPT:9",), "has the lines 1 to 4, and no line 9"),
        (("KEPT", "--run", "--out", "x"), "three things: one at a time"),
        (("KEPT", "--base", "x:1"), "--base is of the container"),
        (("KEPT", "--device", "cpu"), "are of --run"),
        (("KEPT", "--run", "--file", "x"), "write NAME=PATH"),
        (("KEPT", "--run", "--file", "CHECKPOINT=x"), "need no file CHECKPOINT: they need none"),
        (("KEPT", "--measured", "no.jsonl"), "there is no record file no.jsonl"),
        (("SPEED", "--run"), "measured speed alone"),
        (("OWN", "--run"), "pass --file CHECKPOINT=PATH"),
        (("OWN", "--run", "--checkpoint", "KEPT"), "is not weights model.safetensors"),
        (("RANDOM",), "are of random weights"),
        (("EMPTY",), "holds no records"),
        (("BAD",), "is no bundle"),
    ],
)
def test_bad_input_is_one_line(
    kept: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    own = made("hit", "fd", 1.0, card="hit-32", checkpoint_digest=DIGEST, weight_kind="given")
    names = {
        "KEPT": kept,
        "SPEED": written(tmp_path / "s.jsonl", speed("hit", 1.0, card="hit-32")),
        "OWN": written(tmp_path / "o.jsonl", own),
        "RANDOM": written(tmp_path / "r.jsonl", replace(own, weight_kind="random-init")),
        "EMPTY": written(tmp_path / "e.jsonl"),
        "BAD": tmp_path / "b.genbench",
    }
    names["BAD"].write_bytes(b"none")
    given = []
    for word in words:
        name, colon, rest = word.partition(":")
        given.append(f"{names[name]}{colon}{rest}" if name in names else word)
    run = genbench("reproduce", *given, cwd=tmp_path)
    assert told in error_line(run)
    assert run.returncode in (1, 2)


def test_a_bundle_brings_its_own_protocol(kept: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.genbench"
    packed = genbench(
        "bundle", "small", "--out", out, "--ref", "bundled[:64]", "--records", kept,
        "--cache", kept.parent / "cache",
    )  # fmt: skip
    assert packed.returncode == 0, packed.stderr
    found = wanted(str(out), list, print)
    assert found.records == tuple(figures(kept))
    assert found.protocol == load_protocols()["bundled"]
    run = genbench("reproduce", out, "--measured", kept)
    assert run.returncode == 0, run.stderr
