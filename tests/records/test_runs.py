"""Runs: told apart in words, found by id or name, listed by filters, deleted and nothing else."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import pytest
from made_records import made, speed
from strangers import error_line, genbench

from genbench.errors import UsageError
from genbench.records.deletion import delete_runs
from genbench.records.kinds import Record
from genbench.records.labels import labels_of
from genbench.records.run_names import run_name
from genbench.records.runs import RunFilter, find_run
from genbench.records.store import append_records, read_records
from genbench.runtime.files import lock

KNOWN: list[Record] = [
    made("toy", "fd", 1.0, run="abc1", name="first", created="2026-11-01T10:00:00+00:00"),
    made("toy", "recall", 0.5, run="abc1", name="first", created="2026-11-01T10:00:00+00:00"),
    made("toy", "fd", 2.0, run="abd2", name="night 1", samples=500),
    made("hit", "fd", 3.0, run="bbb3", name="night 2", card="hit-32"),
    speed("hit", 9.0, run="ccc4", name="night 2", card="hit-32"),
]


@pytest.mark.parametrize(
    ("records", "labels"),
    [
        ([made("a", "fd", 1.0), made("b", "fd", 1.0, seed=5)], ["a", "b"]),
        ([made("a", "fd", 1.0), made("a", "fd", 1.0, seed=5)], ["a (seed 0)", "a (seed 5)"]),
        ([made("a", "fd", 1.0, card="a-32"), speed("a", 1.0, card="a-64")], ["a-32", "a-64"]),
        ([made("a", "fd", 1.0, card="x"), made("a", "fd", 1.0, card="y")], ["a (x)", "a (y)"]),
        ([made("a", "fd", 1.0, name="n"), made("b", "fd", 1.0, name="n")], ["n (a)", "n (b)"]),
        ([made("a", "fd", 1.0, samples_digest="1" * 64), made("a", "fd", 1.0, card="",
          samples_digest="2" * 64)], ["a (images 11111111)", "a (images 22222222)"]),
        ([made("a", "fd", 1.0, options={"compile": True, "top_k": 1}),
          made("a", "fd", 1.0, options={"compile": False, "top_k": None})],
         ["a (top k 1)", "a (top k None)"]),
    ],
)  # fmt: skip
def test_labels_tell_what_differs(records: list[Record], labels: list[str]) -> None:
    label = labels_of(records)
    assert [label(record) for record in records] == labels


def test_runs_are_found_by_id_or_name_or_the_first_letters_of_either() -> None:
    for word, run in (("abc1", "abc1"), ("abd", "abd2"), ("first", "abc1"), ("night 1", "abd2"),
                      ("fi", "abc1")):  # fmt: skip
        assert {record.run for record in find_run(word, KNOWN)} == {run}
    assert len(find_run("first", KNOWN)) == 2
    with pytest.raises(UsageError, match=r"ab may be any of the runs abc1 \(first, 2026-11-01 10"):
        find_run("ab", KNOWN)
    with pytest.raises(UsageError, match=r"runs bbb3 \(night 2, .*, ccc4 \(night 2, "):
        find_run("night 2", KNOWN)
    with pytest.raises(UsageError, match="did you mean first"):
        find_run("frist", KNOWN)


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [
        (RunFilter(), "abc1 abd2 bbb3 ccc4"),
        (RunFilter(model="toy"), "abc1 abd2"),
        (RunFilter(model="hit-32"), "bbb3 ccc4"),
        (RunFilter(name="night"), "abd2 bbb3 ccc4"),
        (RunFilter(metric="recall"), "abc1"),
        (RunFilter(metric="fid"), "abc1 abd2 bbb3"),  # as other detectors report it
        (RunFilter(metric="throughput"), "ccc4"),
        (RunFilter(protocol="speed"), "ccc4"),
        (RunFilter(since="2026-11-02"), "abd2 bbb3 ccc4"),
        (RunFilter(since="2026-11-01 10"), "abc1 abd2 bbb3 ccc4"),
        (RunFilter(last=2), "bbb3 ccc4"),
        (RunFilter(model="toy", last=1), "abd2"),
    ],
)
def test_filters_choose_runs_whole(wanted: RunFilter, runs: str) -> None:
    assert list(dict.fromkeys(record.run for record in wanted(KNOWN))) == runs.split()
    assert len(RunFilter(metric="recall")(KNOWN)) == 2


def test_the_list_is_filtered_and_refuses_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_records(path, KNOWN)
    run = genbench("ls", "runs", "--records", path, "--name", "night", "--last", "1", "--json")
    (listed,) = map(json.loads, run.stdout.splitlines())
    assert (listed["run"], listed["name"], listed["of"]) == ("ccc4", "night 2", "hit")
    assert "2026-11-28" in error_line(genbench("ls", "runs", "--since", "yesterday"))
    assert "only runs" in error_line(genbench("ls", "--model", "hit"))


def test_deletion_leaves_every_other_line_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_records(path, KNOWN)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"no record\n", *lines[2:]]))
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    assert delete_runs(link, ["abc1"]) == 2
    assert link.is_symlink()
    assert path.read_bytes() == b"no record\n" + b"".join(lines[2:])
    assert delete_runs(path, ["abc1"]) == 0
    append_records(path, KNOWN[:1])  # what is appended goes to the file that took the place
    assert [record.run for record in read_records(path, told=print)][-1] == "abc1"


def test_the_command_asks_says_what_and_refuses_in_one_line(tmp_path: Path) -> None:
    path, other = tmp_path / "r.jsonl", tmp_path / "other.jsonl"
    append_records(path, KNOWN)
    append_records(other, KNOWN[3:4])
    words = ("--records", path, "--records", other)
    unasked = genbench("delete", "abc1", *words)
    assert "nothing was deleted: pass --yes" in error_line(unasked)
    assert "run abc1, first, 2026-11-01 10:00: 2 figures (fd, recall at 10,000" in unasked.stdout
    assert len(read_records(path)) == 5
    assert "may be any" in error_line(genbench("delete", "night", *words, "--yes"))
    run = genbench("delete", "bbb3", "first", *words, "--yes")
    assert f"3 lines removed from {path}" in run.stderr
    assert f"1 line removed from {other}" in run.stderr
    assert [record.run for record in read_records(path)] == ["abd2", "ccc4"]
    assert read_records(other) == []
    assert "check the path" in error_line(genbench("delete", "x", "--records", tmp_path / "no"))


@pytest.mark.parametrize(("answer", "left"), [("n\n", 5), ("y\n", 3)])
def test_a_person_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    path = tmp_path / "r.jsonl"
    append_records(path, KNOWN)
    typed = io.StringIO(answer)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    run = genbench("delete", "first", "--records", path)
    assert run.returncode == (answer == "n\n")
    assert len(read_records(path)) == left


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (" ", "is blank"), ("\x1b[31mred", "cannot be shown"), ("a\u202eb", "cannot be shown"),
        ("a" * 101, "at most 100"), ("runs/mine", "looks like a path"),
        ("3c57ce1d0c20", "a run's id"),
    ],
)  # fmt: skip
def test_names_that_could_not_be_shown_or_found_again(given: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        run_name(given)


def test_a_name_is_kept_as_one_line() -> None:
    assert run_name("my\n run  2 <b>") == "my run 2 <b>"
    assert run_name("") == ""


def test_two_deletions_and_an_append_at_once_undo_nothing(tmp_path: Path) -> None:
    """All wait for one lock; whoever comes later finds the file that the one before has put."""
    path = tmp_path / "r.jsonl"
    append_records(path, [made("m", "fd", 1.0, run=run) for run in "abc"])
    with path.open("rb") as file:
        lock(file)
        work = [
            threading.Thread(target=delete_runs, args=(path, ["a"])),
            threading.Thread(target=delete_runs, args=(path, ["b"])),
            threading.Thread(target=append_records, args=(path, [made("m", "fd", 1.0, run="d")])),
        ]
        for thread in work:
            thread.start()
        time.sleep(0.2)
    for thread in work:
        thread.join()
    assert sorted(record.run for record in read_records(path)) == ["c", "d"]


def test_what_no_run_fits_is_said() -> None:
    records = [made("m", "fd", 1.0)]
    assert RunFilter(model="m")(records) == records
    assert RunFilter(model="n")([]) == []
    with pytest.raises(UsageError, match="none of the 1 runs on record fits"):
        RunFilter(model="n")(records)
    for wrong in ("2026-13-45", "2026-02-30", "yesterday"):
        with pytest.raises(UsageError, match="is no date"):
            RunFilter(since=wrong)
