"""A site from records: its files, what its pages say, and whose folders it leaves alone."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_records import made, speed
from strangers import error_line, genbench

from genbench.bundles.archive import Manifest, write_bundle
from genbench.errors import GenbenchError
from genbench.records.kinds import Record
from genbench.records.lines import to_line
from genbench.records.protocols import load_protocols
from genbench.records.store import append_records
from genbench.report.looks import Looks
from genbench.site.badges import badge, badge_words
from genbench.site.comparisons import comparisons
from genbench.site.folder import write_folder
from genbench.site.history import series_of
from genbench.site.packed import packed_runs
from genbench.site.pages import Site
from genbench.site.places import Names, Places

AGAINST = {"reference": "bundled", "reference_digest": "r" * 64}


def figure(model: str, value: float, **more: object) -> Record:
    fields = {"low": value - 2, "high": value + 2, "card": f"{model}-32", "run": model, **AGAINST}
    return made(model, "fd", value, **{**fields, **more})  # type: ignore[arg-type]


def records() -> list[Record]:
    return [
        figure("hit", 96.0, interval="95% delta method", notes=("a remark <b>",)),
        figure("emd", 176.0),
        figure("hit", 98.0, samples=5000, run="small"),
        figure("hit", 94.0, run="other", reference="mine", reference_digest="s" * 64),
        speed("hit", 600.0, card="hit-32", run="fast", batch=64),
        speed("emd", 250.0, card="emd-32", run="slow", batch=64),
    ]


def files_of(found: Sequence[Record], **more: object) -> dict[str, bytes]:
    site = Site(records=found, **more)  # type: ignore[arg-type]
    return {
        name: content.read_bytes() if isinstance(content, Path) else content
        for name, content in site.files()
    }


@pytest.fixture(scope="module")
def site() -> dict[str, bytes]:
    return files_of(records())


def test_every_link_leads_to_a_file_and_an_anchor(site: dict[str, bytes]) -> None:
    pages = [name for name in site if name.endswith(".html")]
    assert len(pages) > 10
    for name in pages:
        text = site[name].decode()
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            path, _, anchor = link.partition("#")
            parts = [*Path(name).parent.parts, *Path(path).parts] if path else [name]
            while ".." in parts:
                at = parts.index("..")
                del parts[at - 1 : at + 1]
            target = "/".join(parts)
            assert target in site, (name, link)
            if anchor:
                assert f'id="{anchor}"' in site[target].decode(), (name, link)


def test_figures_are_ranked_among_those_that_compare_alone() -> None:
    found = records()
    tables = comparisons(found, Looks(found), Places(found))
    assert [(len(one.rows.rows), one.samples, one.reference) for one in tables] == [
        (2, 10_000, "bundled"), (1, 10_000, "mine"), (1, 5000, "bundled"),
    ]  # fmt: skip
    first, second = tables[0].rows.rows
    assert (first[0].text, first[1].text, first[1].small, first[1].best) == (
        "hit", "96.0", "± 2.0", True,
    )  # fmt: skip
    assert not second[1].best
    assert not any(row[1].best for one in tables[1:] for row in one.rows.rows)


def test_figures_that_chance_may_explain_are_marked_as_tied() -> None:
    found = [figure("hit", 96.0), figure("emd", 97.0)]
    (table,) = comparisons(found, Looks(found), Places(found))
    assert [row[1].marks for row in table.rows.rows] == ["=", "="]


def test_json_and_csv_hold_every_digit(site: dict[str, bytes]) -> None:
    found = records()
    name = comparisons(found, Looks(found), Places(found))[0].rows.id
    lines = json.loads(site[f"{name}.json"])
    rows = list(csv.DictReader(site[f"{name}.csv"].decode().splitlines()))
    assert [line["value"] for line in lines if line["metric"] == "fd"] == [96.0, 176.0]
    assert [float(row["value"]) for row in rows] == [line["value"] for line in lines]
    assert {row["reference_digest"] for row in rows if row["metric"] == "fd"} == {"r" * 64}


def test_a_run_says_where_its_numbers_come_from(site: dict[str, bytes]) -> None:
    page = site["runs/hit.html"].decode()
    digest = load_protocols()["bundled"].digest()
    for text in (digest, "95% delta method", "seed", "torch 2.14.1", "a remark &lt;b&gt;", "abc",
                 "There is no bundle", "genbench</span> <span>fid"):  # fmt: skip
        assert text in page, text
    assert json.loads(site["runs/hit.json"]) == [json.loads(to_line(records()[0]))]


def test_a_badge_is_a_picture_that_says_what_it_shows() -> None:
    record = figure("hit", 96.61, protocol="bundled")
    assert badge_words(record) == ("FD", "96.6 ± 2.0 · bundled · 10k")
    picture = ElementTree.fromstring(badge(replace(record, protocol="a<b")))
    assert "FD: 96.6 ± 2.0 · a<b · 10k" in picture.attrib["aria-label"]


def test_history_joins_what_compares_and_says_what_changed() -> None:
    found = [
        figure("hit", value, run=f"run{at}", created=f"2026-11-2{at}T00:00:00+00:00")
        for at, value in enumerate((96.0, 97.0, 90.0))
    ]
    other = figure("hit", 50.0, run="other", reference_digest="s" * 64)
    (series,) = series_of([*found, other])
    assert [record.value for record in series.records] == [96.0, 97.0, 90.0]
    page = files_of(found)["models/hit.html"].decode()
    for text in ("+1<small>within chance", "−7<small>better", "<svg"):
        assert text in page, text


def test_equal_records_give_equal_bytes(site: dict[str, bytes]) -> None:
    assert files_of(records()) == site


def test_names_of_files_are_safe_and_no_two_the_same() -> None:
    names = Names()
    given = [names.of(text, text) for text in ("../../etc", "a b", "a/b", "A-B", "", "é" * 300)]
    assert given == ["etc", "a-b", "a-b-2", "A-B-3", "unnamed", "unnamed-2"]
    assert names.of("a/b", "a/b") == "a-b-2"


def packed(folder: Path, record: Record) -> None:
    used = load_protocols()["bundled"]
    manifest = Manifest(
        format=1, genbench="0.1.0", created="", samples=1, samples_digest="", identity={}, root="",
        layers=(), protocol=used, slim=True,
    )  # fmt: skip
    members = {
        "records.jsonl": to_line(record).encode(),
        "leaves.npz": {"leaves": np.zeros((1, 64), np.uint8)},
    }
    folder.mkdir(exist_ok=True)
    write_bundle(folder / "run.genbench", manifest, members)  # type: ignore[arg-type]


def test_a_bundle_stands_beside_its_run(tmp_path: Path) -> None:
    packed(tmp_path, records()[0])
    bundles = packed_runs(tmp_path, Places(records()).runs, print)
    files = files_of(records(), bundles=bundles)
    page = files["runs/hit.html"].decode()
    assert "genbench</span> <span>verify</span> <span>run.genbench" in page
    assert bundles["hit"].seal in page
    assert files["bundles/run.genbench"] == (tmp_path / "run.genbench").read_bytes()
    assert "no bundle" in files["runs/emd.html"].decode()


def test_a_bundle_of_other_figures_is_refused_and_of_other_runs_left_out(tmp_path: Path) -> None:
    packed(tmp_path, replace(records()[0], value=1.0, low=None, high=None))
    with pytest.raises(GenbenchError, match="is not what the records say of run hit"):
        packed_runs(tmp_path, Places(records()).runs, print)
    told: list[str] = []
    assert packed_runs(tmp_path, {"emd": []}, told.append) == {}
    assert "not among the records" in told[0]


def test_a_new_site_replaces_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write_folder(tmp_path, [("runs/old.html", b"old"), ("index.html", b"1")])
    (tmp_path / "CNAME").write_text("here.example")
    write_folder(tmp_path, [("index.html", b"2")])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".git", "CNAME", "files.json", "index.html",
    ]  # fmt: skip
    assert (tmp_path / "index.html").read_bytes() == b"2"


def test_a_list_of_files_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    site, precious = tmp_path / "site", tmp_path / "precious"
    precious.write_text("mine")
    write_folder(site, [("index.html", b"1")])
    told = json.loads((site / "files.json").read_text())
    told["files"] += ["../precious", str(precious)]
    (site / "files.json").write_text(json.dumps(told))
    write_folder(site, [("index.html", b"2")])
    assert precious.read_text() == "mine"


def test_the_command_writes_one_site_whatever_the_order_of_files(tmp_path: Path) -> None:
    append_records(tmp_path / "a.jsonl", records()[:4])
    append_records(tmp_path / "b.jsonl", records()[2:])
    run = genbench("site", "a.jsonl", "b.jsonl", "--out", "one", "--title", "Ours", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith("6 records, ")  # what stands in both files once
    assert "<h1>Ours</h1>" in (tmp_path / "one" / "index.html").read_text()
    for out in ("other", "other"):  # new, and over itself
        again = genbench("site", "b.jsonl", "a.jsonl", "--out", out, "--title", "Ours",
                         cwd=tmp_path)  # fmt: skip
        assert again.returncode == 0, again.stderr
    one, other = (
        {path.relative_to(tmp_path / name): path.read_bytes()
         for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("one", "other")
    )  # fmt: skip
    assert one == other


def test_bad_input_is_one_line_with_its_remedy(tmp_path: Path) -> None:
    append_records(tmp_path / "a.jsonl", records()[:1])
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "text.jsonl").write_text("a letter\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for words, told in {
        ("nowhere.jsonl",): "there is no record file nowhere.jsonl",
        ("empty.jsonl",): "there are no records in empty.jsonl: measure something first",
        ("text.jsonl",): "is not a genbench record",
        ("a.jsonl", "--out", "full"): "holds something else than a site (thesis.tex)",
        ("a.jsonl", "--out", "a.jsonl"): "a.jsonl is no folder",
        ("a.jsonl", "--bundles", "full"): "there is no bundle in it",
    }.items():
        assert told in error_line(genbench("site", *words, cwd=tmp_path)), words
    assert (tmp_path / "full" / "thesis.tex").read_text() == "mine"
    assert not (tmp_path / "site").exists()
