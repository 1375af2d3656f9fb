"""Bundles of runs: honest ones hold, forged ones of many kinds do not, damaged ones are refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strangers import error_line, genbench
from torch import Tensor

from genbench.bundles import door
from genbench.bundles.archive import (
    FEATURES,
    LEAVES,
    MOMENTS,
    RECORDS,
    Bundle,
    Manifest,
    read_bundle,
    write_bundle,
)
from genbench.bundles.checks import Check
from genbench.bundles.leaves import root_of
from genbench.bundles.verification import records_of
from genbench.quality import reading
from genbench.records.lines import to_line
from genbench.runtime.progress import SilentReporter

COUNT = 120


class MeanColour:
    """A detector whose features are known: the mean and the spread of each channel."""

    name = "inception"
    layers: Mapping[str, int] = {"pool": 6}
    identity: Mapping[str, str] = {"weights_sha256": "none"}

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        values = images.to(torch.float32)
        return {"pool": torch.cat([values.mean((2, 3)), values.std((2, 3))], 1)}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of the toy model, and its bundles with and without features."""
    folder = tmp_path_factory.mktemp("bundles")
    rng = np.random.default_rng(0)
    np.savez(folder / "ref.npz", rng.integers(0, 256, (90, 32, 32, 3), dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "create_detector", lambda *_, **__: MeanColour())
        patch.setattr(reading, "fetch_weights", lambda *_: None)
        patch.setenv("GENBENCH_CACHE", str(folder / "cache"))
        patch.setenv("GENBENCH_RECORDS", str(folder / "records.jsonl"))
        words = ("fid", "--model", "toy", "--res", "32", "-n", str(COUNT), "--protocol", "standard",
                 "--ref", folder / "ref.npz", "--metric", "fid", "--metric", "precision",
                 "--metric", "recall", "--name", "mine", "--device", "cpu")  # fmt: skip
        done = genbench(*words)
        assert done.returncode == 0, done.stderr
        for name, more in (("full", ("--with-features",)), ("plain", ()), ("slim", ("--slim",))):
            done = genbench("bundle", "mine", "--out", folder / f"{name}.genbench", "--ref",
                            folder / "ref.npz", "--device", "cpu", *more)  # fmt: skip
            assert done.returncode == 0, done.stderr
        yield folder


def verified(path: Path, fraction: float = 1.0, **more: Any) -> list[Check]:
    return list(
        door.verify(
            path,
            fraction=fraction,
            seed=1,
            device="cpu",
            reporter=SilentReporter(),
            reference=str(path.parent / "ref.npz"),
            **more,
        )
    )


def failing(checks: list[Check]) -> list[str]:
    return [check.subject for check in checks if check.state == "fails"]


def test_an_honest_bundle_holds(packed: Path) -> None:
    seal = read_bundle(packed / "full.genbench").manifest.seal()
    checks = verified(packed / "full.genbench", seal=seal)
    assert {check.state for check in checks} == {"holds", "told"}, checks
    told = {check.subject: check.told for check in checks}
    assert f"{COUNT} of {COUNT} samples drawn again: images and features bit" in told["drawn again"]
    done = genbench("verify", packed / "full.genbench", "--seal", seal[:16], "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "nothing failed, and 1 claims were not checked" in done.stderr
    plain = verified(packed / "plain.genbench", fraction=0)
    assert not failing(plain)
    assert {check.subject for check in plain if check.state == "not checked"} == {
        "seal", f"precision at {COUNT}", f"recall at {COUNT}",
    }  # fmt: skip
    slim = {check.subject: check.state for check in verified(packed / "slim.genbench", 0)}
    assert slim[f"fid at {COUNT}"] == "not checked"
    assert (packed / "slim.genbench").stat().st_size < (packed / "plain.genbench").stat().st_size


Members = dict[str, Any]


def repacked(source: Path, out: Path, change: Callable[[Members, Manifest], Manifest]) -> Path:
    """A bundle packed anew after a change, all digests of members made to fit."""
    bundle = read_bundle(source)
    with zipfile.ZipFile(source) as archive:
        members: Members = {name: archive.read(name) for name in bundle.manifest.digests}
    members[LEAVES] = {"leaves": bundle.leaves.copy()}
    if MOMENTS in members:
        members[MOMENTS] = {key: array.copy() for key, array in bundle.moments.items()}
    if FEATURES in members:
        members[FEATURES] = {
            key: rows.copy()
            for key in ("samples/pool", "reference/pool")
            if (rows := bundle.features(key)) is not None
        }
    write_bundle(out, change(members, bundle.manifest), members)
    return out


def change_record(**changes: Any) -> Callable[[Members, Manifest], Manifest]:
    def change(members: Members, manifest: Manifest) -> Manifest:
        lines = [json.loads(line) for line in members[RECORDS].splitlines()]
        lines[0] |= changes
        members[RECORDS] = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return manifest

    return change


def change_moment(key: str, factor: float) -> Callable[[Members, Manifest], Manifest]:
    def change(members: Members, manifest: Manifest) -> Manifest:
        members[MOMENTS][key] *= factor
        return manifest

    return change


def change_leaf(members: Members, manifest: Manifest) -> Manifest:
    members[LEAVES]["leaves"][60, 3] ^= 1
    return replace(manifest, root=root_of(members[LEAVES]["leaves"]))


def exchange_leaves(members: Members, manifest: Manifest) -> Manifest:
    leaves = members[LEAVES]["leaves"]
    leaves[[4, 70]] = leaves[[70, 4]]
    return replace(manifest, root=root_of(leaves))


def change_features(members: Members, manifest: Manifest) -> Manifest:
    members[FEATURES]["samples/pool"][5] += 1
    return manifest


def change_reference(members: Members, manifest: Manifest) -> Manifest:
    members[FEATURES]["reference/pool"] += 40
    return manifest


FORGERIES: dict[str, Callable[[Members, Manifest], Manifest]] = {
    "a better figure": change_record(value=1.0),
    "another count": change_record(samples=100),
    "another seed": change_record(seed=5),
    "another option": change_record(options={"contrast": 0.4}),
    "another protocol": change_record(protocol_digest="0" * 16),
    "other samples": change_record(samples_digest="0" * 64),
    "moments moved": change_moment(f"samples/pool/{COUNT}/mean", 1.01),
    "moments shrunk": change_moment(f"samples/pool/{COUNT}/scatter", 0.99),
    "moments of more": change_moment(f"samples/pool/{COUNT}/count", 2.0),
    "a reference moved": change_moment("reference/pool/mean", 1.01),
    "a leaf": change_leaf,
    "leaves exchanged": exchange_leaves,
    "features": change_features,
    "features of the reference": change_reference,
    "a figure beside its exact one": change_record(value=1.5, exact=0.0),
    "a figure beyond its interval": change_record(low=0.0, high=1.0),
    "other settings": change_record(settings={"kind": "frechet", "layer": "spatial"}),
    "another model": change_record(model="hit", card="hit-32"),
    "another checkpoint": change_record(checkpoint_digest="1" * 64),
    "another unit": change_record(unit="percent"),
    "a figure twice": lambda members, manifest: (
        members.update({RECORDS: members[RECORDS] + members[RECORDS].splitlines(True)[0]})
        or manifest
    ),
    "no layers": lambda members, manifest: replace(manifest, layers=()),
    "another root": lambda members, manifest: replace(manifest, root="0" * 64),
    "another resolution": lambda members, manifest: replace(
        manifest, protocol=replace(manifest.protocol, pr_neighbours=5)
    ),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forger_who_packs_anew_is_caught(packed: Path, tmp_path: Path, kind: str) -> None:
    """All digests are made to fit the forged claim: what catches it is the arithmetic, or the
    samples that are drawn again."""
    (tmp_path / "ref.npz").symlink_to(packed / "ref.npz")
    forged = repacked(packed / "full.genbench", tmp_path / "forged.genbench", FORGERIES[kind])
    assert failing(verified(forged)), kind
    seal = read_bundle(packed / "full.genbench").manifest.seal()
    assert "seal" in failing(verified(forged, 0, seal=seal))


def moved_to_the_reference(members: Members, manifest: Manifest) -> Manifest:
    """Moments of the samples that are the reference's, and the figure that follows."""
    moments = members[MOMENTS]
    for part in ("mean", "scatter"):
        moments[f"samples/pool/{COUNT}/{part}"] = moments[f"reference/pool/{part}"]
    return change_record(value=0.0)(members, manifest)


def test_moments_of_other_samples_are_found_when_all_are_drawn(
    packed: Path, tmp_path: Path
) -> None:
    """Without features only drawing everything tells, and until then it is said not to be known."""
    (tmp_path / "ref.npz").symlink_to(packed / "ref.npz")
    forged = repacked(packed / "plain.genbench", tmp_path / "f.genbench", moved_to_the_reference)
    assert f"moments of samples/pool/{COUNT}" in failing(verified(forged))
    part = {check.subject: check.state for check in verified(forged, 0.4)}
    assert part["moments"] == "not checked"


def test_the_reference_is_measured_again_where_it_is_here(packed: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "ref.npz", np.zeros((90, 32, 32, 3), np.uint8))
    states = {check.subject: check.state for check in verified(packed / "plain.genbench", 0)}
    assert states["reference"] == "holds"
    shutil.copy(packed / "plain.genbench", tmp_path / "p.genbench")
    states = {check.subject: check.state for check in verified(tmp_path / "p.genbench", 0)}
    assert states["reference"] == "not checked"  # of that name, and other images
    forged = repacked(packed / "plain.genbench", tmp_path / "f.genbench",
                      change_moment("reference/pool/scatter", 1.1))  # fmt: skip
    (tmp_path / "ref.npz").unlink()
    (tmp_path / "ref.npz").symlink_to(packed / "ref.npz")
    assert "reference" in failing(verified(forged, 0))


def mutated(values: Any) -> Any:
    """Something else of the same kind."""
    if isinstance(values, bool):
        return not values
    if isinstance(values, int | float):
        return values + 1
    if isinstance(values, str):
        return values + "x"
    return values


def test_every_field_of_every_record_is_sealed(packed: Path, tmp_path: Path) -> None:
    """Whatever a field holds, a bundle with another value there has another seal."""
    honest = packed / "plain.genbench"
    seal, record = read_bundle(honest).manifest.seal(), records_of(read_bundle(honest))[0]
    fields = json.loads(to_line(record))
    seals = {seal}
    changes: list[dict[str, Any]] = [
        {key: mutated(value)} for key, value in fields.items() if mutated(value) != value
    ]
    changes += [{key: {"other": "x"}} for key, value in fields.items() if isinstance(value, dict)]
    for number, change in enumerate(changes):
        out = repacked(honest, tmp_path / f"{number}.genbench", change_record(**change))
        seals.add(read_bundle(out).manifest.seal())
        out.unlink()
    manifest = read_bundle(honest).manifest
    for item in dataclasses.fields(Manifest):
        value = getattr(manifest, item.name)
        if item.name != "created" and mutated(value) != value:
            seals.add(replace(manifest, **{item.name: mutated(value)}).seal())
    count = sum(mutated(getattr(manifest, item.name)) != getattr(manifest, item.name)
                for item in dataclasses.fields(Manifest) if item.name != "created")  # fmt: skip
    assert replace(manifest, created="later").seal() == seal  # packed again, the same
    assert len(seals) == 1 + len(changes) + count


def test_damage_is_found_without_looking_at_samples(packed: Path, tmp_path: Path) -> None:
    content = bytearray((packed / "plain.genbench").read_bytes())
    out = tmp_path / "damaged.genbench"
    rng = np.random.default_rng(1)
    for place in [0, 40, len(content) - 10, *rng.integers(0, len(content), 40)]:
        damaged = content.copy()
        damaged[place] ^= 0xFF
        out.write_bytes(damaged)
        done = genbench("verify", out, "--fraction", "0")
        if done.returncode == 0:  # a date in the zip's directory, say, which nobody reads
            found, honest = (read_bundle(path) for path in (out, packed / "plain.genbench"))
            assert found.manifest.seal() == honest.manifest.seal(), place
            assert found.records == honest.records
            assert np.array_equal(found.leaves, honest.leaves)
        assert "Traceback" not in done.stderr


def write(path: Path, members: Mapping[str, bytes], **more: Any) -> Path:
    with zipfile.ZipFile(path, "w", **more) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_what_is_no_bundle_is_refused_in_one_line(packed: Path, tmp_path: Path) -> None:
    honest = packed / "plain.genbench"
    with zipfile.ZipFile(honest) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    newer = json.loads(members["manifest.json"]) | {"format": 9}
    link = zipfile.ZipInfo("grid.png")
    link.external_attr = 0xA1FF << 16
    linked = tmp_path / "link.genbench"
    with zipfile.ZipFile(linked, "w") as archive:
        for name, data in members.items():
            archive.writestr(link if name == link.filename else name, data)
    (tmp_path / "cut.genbench").write_bytes(honest.read_bytes()[:-500])
    (tmp_path / "text.genbench").write_text("not a zip")
    for path, said in (
        (write(tmp_path / "newer.genbench",
               members | {"manifest.json": json.dumps(newer).encode()}), "upgrade genbench"),
        (write(tmp_path / "out.genbench", members | {"../evil": b"x"}), "which no bundle has"),
        (write(tmp_path / "zeros.genbench", members | {"grid.png": bytes(1 << 22)},
               compression=zipfile.ZIP_DEFLATED), "packed otherwise"),
        (write(tmp_path / "less.genbench", {"manifest.json": members["manifest.json"]}),
         "it has no leaves.npz"),
        (linked, "is a link"),
        (tmp_path / "cut.genbench", "written again"),
        (tmp_path / "text.genbench", "is no bundle"),
        (tmp_path / "nothing.genbench", "check the path"),
        (tmp_path, "check the path"),
    ):  # fmt: skip
        assert said in error_line(genbench("verify", path)), path


def test_refusals(packed: Path, tmp_path: Path) -> None:
    for words, said in (
        (("verify", packed / "full.genbench", "--fraction", "2"), "between 0 and 1"),
        (("verify", packed / "full.genbench", "--seal", "abc"), "at least 16 digits"),
        (("bundle", "mine", "--out", tmp_path / "x.zip"), "ends in .genbench"),
        (("bundle", "mine", "--slim", "--with-features", "--out", tmp_path / "x.genbench"),
         "choose one"),
        (("bundle", "nobody", "--out", tmp_path / "x.genbench"), "nobody"),
        (("bundle", "mine", "--out", tmp_path / "x.genbench"), "pass --ref"),
        (("bundle", "mine", "--slim", "--ref", packed / "ref.npz", "--device", "cpu", "--out",
          packed / "plain.genbench"), "with another seal"),
    ):  # fmt: skip
        assert said in error_line(genbench(*words)), words


def test_packing_again_gives_the_same_seal(packed: Path) -> None:
    seal = read_bundle(packed / "slim.genbench").manifest.seal()
    done = genbench("bundle", "mine", "--slim", "--ref", packed / "ref.npz", "--device", "cpu",
                    "--out", packed / "slim.genbench")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["seal", seal]


def test_a_bundle_on_another_kind_of_device_is_held_against_its_features(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that differ in last bits pass where features are near, and others fail."""
    bundle: Bundle = read_bundle(packed / "full.genbench")
    real = door._source

    class Elsewhere:
        def __init__(self, source: Any, moved: int) -> None:
            self._source, self._moved = source, moved

        def __getattr__(self, name: str) -> Any:
            return getattr(self._source, name)

        def digest(self) -> str:
            return "of another device"

        def images(self, start: int, stop: int) -> Any:
            for batch in self._source.images(start, stop):
                yield (batch.int() + self._moved).clamp(0, 255).to(torch.uint8)

    for moved, state in ((1, "holds"), (120, "fails")):
        monkeypatch.setattr(
            door, "_source", lambda *given, moved=moved: Elsewhere(real(*given), moved)
        )
        found = {check.subject: check for check in verified(packed / "full.genbench")}
        assert found["drawn again"].state == state, found["drawn again"].told
        assert "another device" in found["drawn again"].told
    monkeypatch.setattr(door, "_source", lambda *given: Elsewhere(real(*given), 1))
    plain = {check.subject: check.state for check in verified(packed / "plain.genbench")}
    assert plain["drawn again"] == "not checked"
    assert bundle.manifest.samples == COUNT
