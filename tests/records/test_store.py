"""Records: append-only, all or none, read in every format there has been."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from appending import append_many, measurement
from made_records import made, speed
from strangers import error_line, genbench

from genbench.errors import GenbenchError
from genbench.metrics.settings import FrechetSettings, KernelSettings, NeighbourSettings
from genbench.records.kinds import QualityRecord, Record, SpeedRecord, SweepFacts, SweptBatch
from genbench.records.lines import FORMAT, from_line, record_schema, to_line
from genbench.records.store import append_records, check_appendable, read_records

# A line as genbench wrote it before records had kinds, with what decides how it is read.
OLD: dict[str, object] = {
    "model": "hit", "resolution": 32, "metric": "fd", "value": 96.55160122500888,
    "unit": "squared distance", "samples": 10000, "detector": "efficientnet-lite0",
    "protocol": "bundled", "protocol_digest": "722d89005aabfa4d",
    "checkpoint": "model.safetensors", "seed": 0, "run": "cd30e6978f8a",
    "environment": {
        "genbench": "0.1.0", "git": "008c868", "python": "3.11.7", "torch": "2.14.1",
        "numpy": "2.4.6", "device": "AMD EPYC", "device_type": "cpu", "cuda": "", "threads": 2,
        "processors": 2, "processes": 1, "tf32": True, "command": ["genbench", "fid"],
    },
    "options": {"plain": False, "dtype": "float32", "code": "4047d4b6884a4ee7"},
    "settings": {"layer": "pool"}, "notes": [], "trials": [],
}  # fmt: skip


def test_records_come_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    kept = [measurement(0.1 + 0.2), measurement(1e-300)]
    append_records(path, kept[:1])
    append_records(path, kept[1:])
    assert read_records(path) == kept
    assert read_records(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    "record",
    [
        made("a", "fd", 1.5, settings=FrechetSettings(layer="pool"), singular=True, nfe=25.0),
        made("a", "recall", 0.5, settings=NeighbourSettings(neighbours=3), options={"s": None}),
        speed("a", 7.0, batch=4, trials=(0.5, 0.25), sweep=SweepFacts(
            points=(SweptBatch(1, 2.0, 3),), ended="time", of="whole calls")),
    ],
)  # fmt: skip
def test_every_kind_of_field_comes_back(record: Record) -> None:
    assert from_line(to_line(record)) == record


def test_lines_of_the_first_format_are_read() -> None:
    found = from_line(json.dumps(OLD))
    assert isinstance(found, QualityRecord)
    assert (found.value, found.arithmetic, found.code_digest) == (
        96.55160122500888, "float32", "4047d4b6884a4ee7",
    )  # fmt: skip
    assert found.options == {"plain": False}
    assert found.settings == FrechetSettings(layer="pool")
    assert found.environment.packages == {"torch": "2.14.1", "numpy": "2.4.6"}
    assert found.environment.tf32 is None  # of a GPU that was not there
    assert not found.singular
    note = "500 samples for 1280 features: the covariance is singular and fd is biased upwards"
    few = from_line(json.dumps(OLD | {"notes": [note]}))
    assert isinstance(few, QualityRecord)
    assert few.singular


def test_speeds_of_the_first_format_are_read() -> None:
    settings = {
        "precision": "bfloat16", "gpu": "", "clock": "c", "tier": "measured", "mode": "sample",
        "evaluations": 50, "compile": False, "host_copy_seconds": None, "batch": 32, "calls": 5,
        "wall_seconds": 8.5, "processor_seconds": 17.0, "median_seconds": 1.5, "iqr_seconds": 0.5,
        "busy": 1.0, "host_bound": False,
        "warm_up": {"calls": 1, "seconds": 2.0, "first": 2.0, "typical": 2.0, "steady": False},
        "batch_rule": "given", "sweep": [[1, 5.5, 7], [2, 8.5, 9]], "sweep_ended": "time",
        "sweep_of": "single evaluations",
    }  # fmt: skip
    line = json.dumps(OLD | {"metric": "throughput", "protocol": "speed", "detector": "",
                             "settings": settings})  # fmt: skip
    found = from_line(line)
    assert isinstance(found, SpeedRecord)
    assert (found.arithmetic, found.batch, found.evaluations) == ("bfloat16", 32, 50)
    assert found.timing is not None
    assert found.timing.warm_up.seconds == 2.0
    assert found.sweep is not None
    assert found.sweep.points[1] == SweptBatch(2, 8.5, 9)


def test_a_torn_last_line_is_dropped_however_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement()])
    whole = path.read_text()
    for torn in ('{"form', whole[:-20], whole[:-3] + "x" * 100_000):
        path.write_text(whole + torn)
        append_records(path, [measurement(2.0)])
        assert [item.value for item in read_records(path)] == [1.0, 2.0]
    path.write_text(whole[:50])
    append_records(path, [measurement(3.0)])
    assert [item.value for item in read_records(path)] == [3.0]


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement(1.0), measurement(2.0)])
    for line in (path.read_text().rstrip(), json.dumps(OLD), json.dumps({"format": 9, "metric": "",
                                                                        "value": 1})):  # fmt: skip
        path.write_text(line)
        append_records(path, [measurement(3.0)])
        assert path.read_text().splitlines()[:-1] == line.splitlines()


@pytest.mark.parametrize(
    "content",
    ['{"my": "notes"}', "[1,2]\n[[[", "notes\n", "a,b\n1,2\n", "x" * 5000, "\x00\x01", "[1]\n"],
)
def test_a_file_of_something_else_is_never_touched(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.json"
    path.write_text(content)
    for attempt in (check_appendable, lambda path: append_records(path, [measurement()])):
        with pytest.raises(GenbenchError, match="something else than records: name another file"):
            attempt(path)
    append_records(path, [])
    assert path.read_text() == content


def test_a_tail_that_is_not_ours_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement()])
    text = path.read_text() + "my notes"
    path.write_text(text)
    with pytest.raises(GenbenchError, match=r"no record .*my notes"):
        append_records(path, [measurement()])
    assert path.read_text() == text


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with pytest.raises(GenbenchError, match=r"what would be recorded: samples 4\.5"):
        append_records(path, [dataclasses.replace(measurement(), samples=4.5)])  # type: ignore[arg-type]
    assert not path.exists()


def test_what_a_dying_machine_left_does_not_stand_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement(1.0)])
    whole = path.read_bytes()
    path.write_bytes(b"[1,2]\n" + whole + b"\0" * 4096)
    append_records(path, [measurement(2.0)])
    told: list[str] = []
    assert [item.value for item in read_records(path, told=told.append)] == [1.0, 2.0]
    assert len(told) == 1
    path.write_bytes(whole.rstrip() + whole)
    with pytest.raises(GenbenchError, match=r"more than one record.*break the line there"):
        read_records(path)


def test_a_link_that_leads_nowhere_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to("nowhere/x.jsonl")
    (tmp_path / "self.jsonl").symlink_to("self.jsonl")
    (tmp_path / "nowhere").write_text("in the way")
    for name in ("link.jsonl", "self.jsonl"):
        with pytest.raises(GenbenchError):
            check_appendable(tmp_path / name)


def test_devices_and_pipes_take_records() -> None:
    check_appendable(Path("/dev/null"))
    append_records(Path("/dev/null"), [measurement()])


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, said in (
        (tmp_path, "is a folder: name a record file in it"),
        (tmp_path / "file" / "r.jsonl", "cannot write"),
        (Path("/proc/none/r.jsonl"), "cannot write"),
    ):
        line = error_line(genbench("fid", "--samples", "nowhere", "--records", path))
        assert said in line
    check_appendable(tmp_path / "new" / "r.jsonl")
    assert not (tmp_path / "new" / "r.jsonl").exists()


KERNEL = made("a", "kd", 1.0, settings=KernelSettings(subsets=100, subset_size=1000, seed=2020))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("what", "is not a genbench record"),
        ("[1, 2]", "is not a genbench record"),
        ('{"model": "x", "colour": 1}', "colour"),
        (json.dumps({"format": FORMAT + 1, "kind": "quality"}), "newer genbench"),
        (json.dumps({"format": FORMAT, "kind": "sound"}), "no known kind"),
        (json.dumps({"format": FORMAT, "kind": "speed"}), "lacks model"),
        (to_line(made("a", "fd", 1.0)).replace('"samples": 10000', '"samples": "many"'),
         "samples 'many' is not a whole number"),
        (to_line(made("a", "fd", 1.0)).replace('"singular"', '"singulr"'),
         "did you mean singular?"),
        (to_line(KERNEL).replace('"subsets"', '"substs"'),
         "there is no key settings.substs; did you mean subsets?"),
        (to_line(KERNEL).replace('"subsets": 100', '"subsets": "many"'),
         "settings.subsets 'many' is not a whole number: correct it; or remove that line"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_named_by_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement()])
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(GenbenchError, match="line 2") as told:
        read_records(path)
    assert str(path) in str(told.value)
    assert said in str(told.value)


def test_a_bad_line_does_not_spoil_the_others(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, [measurement(1.0)])
    newer = json.dumps({"format": FORMAT + 1, "metric": "fd"})
    damaged = b'{"model":"caf\xe9"}\n' + b"[" * 100_000 + b"\n" + newer.encode() + b"\n"
    path.write_bytes(path.read_bytes() + damaged)
    append_records(path, [measurement(2.0)])
    told: list[str] = []
    assert [item.value for item in read_records(path, told=told.append)] == [1.0, 2.0]
    assert [text.split(" is ")[0] for text in told] == [
        f"passed over: {path}, line {number}" for number in (2, 3, 4)
    ]
    run = genbench("table", "bundled", "--records", path)
    assert run.returncode == 0
    assert run.stderr.count("passed over") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"environment": None}, {"settings": [1]}, {"options": "x"}, {"notes": [3]},
        {"environment": {"gpu": "V100"}}, {"kind": ["quality"]}, {"low": 1.0}, {"samples": -1},
        {"protocol": "speed", "settings": {"wall_seconds": 1}},
        {"protocol": "speed", "settings": {"sweep": [[1]]}}, {"format": 0}, {"format": -1},
    ],
)  # fmt: skip
def test_damaged_values_are_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(GenbenchError, match="remove that line"):
        from_line(json.dumps(OLD | change))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not a genbench record" in error_line(genbench("table", "bundled", "--records", path))
    missing = genbench("report", "--records", tmp_path / "mistyped.jsonl")
    assert "there is no record file" in error_line(missing)


def test_a_nan_is_never_recorded() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        to_line(dataclasses.replace(measurement(), value=float("nan")))


def test_two_runs_append_to_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(str(path), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_records(path)) == 100


def test_the_schema_describes_what_is_written() -> None:
    schema = record_schema()
    kinds = schema["$defs"]
    for record in (made("a", "fd", 1.0), speed("a", 1.0)):
        described = kinds[type(record).__name__]
        line = json.loads(to_line(record))
        assert set(line) == set(described["properties"])
        assert set(described["required"]) <= set(line)
    assert kinds["QualityRecord"]["properties"]["format"] == {"const": FORMAT}


def test_the_command_prints_the_schema() -> None:
    run = genbench("schema")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == json.loads(json.dumps(record_schema()))
