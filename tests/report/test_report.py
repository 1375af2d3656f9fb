"""`genbench report`: one file that everybody can read, with every figure and every number."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from made_records import made, speed
from strangers import error_line, genbench

from genbench.records.kinds import Record, SweepFacts, SweptBatch
from genbench.records.store import append_records
from genbench.report.curves import speed_plots
from genbench.report.plots import draw_speed
from genbench.report.svg import inline_svg


def records() -> list[Record]:
    found: list[Record] = []
    for number, model in enumerate(("hit", "biggan-deep"), start=1):
        for truncation in (0.5, 1.0):
            options = {"truncation": truncation}
            shared: dict[str, Any] = {
                "card": f"{model}-32",
                "options": options,
                "run": f"run{number}",
            }
            for count in (5000, 10_000):
                for metric in ("fd", "precision", "recall"):
                    value = number * truncation + 1 / count
                    found.append(
                        made(
                            model, metric, value, samples=count, low=value - 0.1, high=value + 0.1,
                            samples_digest=f"{model}{truncation}", reference="bundled",
                            reference_digest="r", nfe=float(number), **shared,
                        )
                    )  # fmt: skip
            points = (SweptBatch(1, 5.0, 0), SweptBatch(8, 30.0, 0))
            sweep = SweepFacts(points=points, ended="time", of="whole calls")
            found.append(speed(model, 100.0 * number, batch=64, sweep=sweep, **shared))
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    append_records(folder / "records.jsonl", records())
    words = ("--records", folder / "records.jsonl", "--cache", folder)
    run = genbench("report", "--out", folder / "report.html", *words)
    assert run.returncode == 0, run.stderr
    return folder / "report.html"


class Page(HTMLParser):
    """Every tag with its attributes, and the text inside some."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def parsed(report: Path) -> Page:
    return Page(report)


def test_landmarks_and_language(parsed: Page) -> None:
    assert not parsed.open
    assert parsed.all("html")[0]["lang"] == "en"
    for landmark in ("header", "nav", "main", "h1"):
        assert len(parsed.all(landmark)) == 1
    assert any(item.get("name") == "viewport" for item in parsed.all("meta"))
    links = [item["href"] for item in parsed.all("a")]
    assert links[0] == "#content"  # the skip link comes first
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    for section in parsed.all("section"):
        assert section["aria-labelledby"] in ids


def test_every_picture_has_words_and_every_figure_its_data(parsed: Page) -> None:
    drawn = parsed.all("svg")
    svgs = [item for item in drawn if item["class"] == "plot"]
    swatches = [item for item in drawn if item["class"] == "swatch"]
    assert len(svgs) + len(swatches) == len(drawn)
    assert {item["aria-hidden"] for item in swatches} == {"true"}  # the name stands beside it
    assert len(svgs) == 5  # speed, counts, precision and recall, evaluations, batch sizes
    ids = {attributes.get("id") for _, attributes in parsed.tags}
    for svg in svgs:
        assert svg["role"] == "img"
        assert set(svg["aria-labelledby"].split()) <= ids
    assert all(item["alt"] for item in parsed.all("img"))
    assert parsed.text.count("Data of this figure") == len(svgs)
    for region in (item for item in parsed.all("div") if item.get("class") == "wide"):
        assert region["tabindex"] == "0"  # what scrolls can be reached with the keyboard
        assert region["aria-label"]


def test_the_file_needs_nothing_else(parsed: Page, report: Path) -> None:
    assert not parsed.all("script") + parsed.all("link") + parsed.all("iframe")
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "data", "srcset", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), (tag, name, value)
    text = report.read_text(encoding="utf-8")
    assert not re.findall(r"url\((?!#)|@import", text)
    assert "@media print" in text


def test_every_table_and_every_number_is_there(parsed: Page) -> None:
    from genbench.tables.specs import load_spec, spec_names

    for name in spec_names():
        assert load_spec(name).title in parsed.text
    for record in records():
        assert f"{record.value:.6g}" in parsed.text
        assert record.run in parsed.text


def test_numbers_lead_to_the_card_of_their_run(parsed: Page) -> None:
    cards = {item["id"] for item in parsed.all("article")}
    assert len(cards) == 4  # two models at two truncations
    targets = [item["href"][1:] for item in parsed.all("a") if item["href"].startswith("#run-")]
    assert cards == set(targets)
    assert parsed.text.count("record filerecords.jsonl") == len(cards)


def test_papers_tables_are_open_where_something_was_measured(parsed: Page) -> None:
    tables = [item for item in parsed.all("details") if item.get("class") == "table"]
    assert ["open" in item for item in tables] == [True, *[False] * (len(tables) - 1)]


HOSTILE = '"><script>alert(1)</script>{{ 7 * 7 }}'


def test_names_are_text_whatever_they_say(tmp_path: Path) -> None:
    found: list[Record] = [
        made(HOSTILE, "fd", 1.0, low=0.9, high=1.1, run=HOSTILE, card=HOSTILE, notes=(HOSTILE,),
             options={HOSTILE: HOSTILE}, reference=HOSTILE, checkpoint=HOSTILE, nfe=nfe,
             seed=seed, samples_digest="../" * 9)
        for seed, nfe in ((0, 1.0), (1, 2.0))
    ]  # fmt: skip
    found += [speed(HOSTILE, 5.0, run=HOSTILE, card=HOSTILE, options={HOSTILE: HOSTILE})]
    append_records(tmp_path / "records.jsonl", found)
    words = ("--records", tmp_path / "records.jsonl", "--cache", tmp_path, "--title", HOSTILE)
    run = genbench("report", "--out", tmp_path / "r.html", *words)
    assert run.returncode == 0, run.stderr
    page = Page(tmp_path / "r.html")
    assert not page.open
    assert not page.all("script")
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert HOSTILE in page.text


def test_an_empty_record_file_says_which_commands_fill_it(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    (tmp_path / "none").touch()
    run = genbench("report", "--out", out, "--records", tmp_path / "none", "--cache", tmp_path)
    assert run.returncode == 0, run.stderr
    page = Page(out)
    assert not page.all("svg")
    assert "genbench fid --model hit --res 32 --protocol bundled -n 10000 --ci" in page.text
    assert "genbench throughput --model hit --res 32" in page.text


def test_samples_stand_above_their_nearest_references(tmp_path: Path) -> None:
    words = ("--model", "toy", "--res", "32", "--cache", tmp_path)
    run = genbench("sample", *words, "-n", "30", "--out", tmp_path / "grid.png")
    assert run.returncode == 0, run.stderr
    file = ("--records", tmp_path / "records.jsonl")
    quality = ("--protocol", "bundled", "--ref", "bundled[:60]", "--metric", "fd")
    run = genbench("fid", *words, "-n", "30", *quality, *file)
    assert run.returncode == 0, run.stderr
    run = genbench("report", *file, "--cache", tmp_path, "--out", tmp_path / "report.html")
    assert run.returncode == 0, run.stderr
    page = Page(tmp_path / "report.html")
    strip, picture = page.all("img")
    assert picture["src"].startswith("data:image/png;base64,")
    assert "toy, seed 0: samples (odd rows)" in picture["alt"]
    assert "nearest image of bundled[0:60]" in picture["alt"]
    assert strip["alt"] == "toy: the first 16 samples of seed 0"
    shutil.rmtree(tmp_path / "samples")
    shutil.rmtree(tmp_path / "strips")  # what lies beside the records is left
    run = genbench("report", *file, "--cache", tmp_path, "--out", tmp_path / "report.html")
    assert run.returncode == 0, run.stderr
    assert Page(tmp_path / "report.html").all("img") == [strip]


def test_the_nearest_reference_is_the_nearest(tmp_path: Path) -> None:
    """Images measured against themselves are their own nearest neighbours."""
    import numpy as np

    from genbench.images.opening import open_image_set
    from genbench.quality.source import SetSource
    from genbench.report.samples import SHOWN, pairs_of
    from genbench.runtime.shards import ShardFolder

    images = open_image_set("bundled[100:140]")
    identity = dict(SetSource(images).identity())
    features = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    detector = {"name": "made", "weights": "w"}
    key = {"source": identity, "detector": detector}
    ShardFolder(tmp_path / "features", key).write(0, {"pool": features})
    drawn = ShardFolder(tmp_path / "samples", {"source": identity})
    drawn.write(0, {"images": images.read(0, 40).numpy()})
    from genbench.runtime.digests import canonical_digest

    record = made(
        "a", "fd", 0.0, samples_digest=canonical_digest(identity), reference=images.name,
        reference_digest=images.digest(), detector_identity={"weights": "w"},
    )  # fmt: skip
    found = pairs_of(record, tmp_path)
    assert found is not None
    assert found.nearest == tuple(range(SHOWN))
    assert max(found.distances) < 1e-6
    pixels = np.asarray(found.picture)
    assert (pixels[:32] == pixels[32:64]).all()


def test_equal_data_gives_equal_svg_and_ids_of_its_own() -> None:
    (plot,) = speed_plots(records())
    svg = draw_speed(plot)
    assert svg == draw_speed(plot)
    assert "<title id=" in svg
    assert "<desc id=" in svg
    assert "Pareto front" in svg
    (front,) = re.findall(r'd="([^"]+)"[^>]*stroke-dasharray', svg)
    corners = [tuple(map(float, pair.split())) for pair in re.split("[ML]", front)[1:]]
    assert len(corners) > 4
    for one, other in itertools.pairwise(corners):  # steps: along the axes alone
        assert one[0] == other[0] or one[1] == other[1]
    clips = re.findall(r'<clipPath id="(\w+)"', svg)
    assert clips == [f"clip_{number}" for number in range(1, len(clips) + 1)] != []
    assert set(re.findall(r"url\(#(\w+)\)", svg)) == set(clips)
    inline = inline_svg(svg, "one")
    assert re.findall(r'id="(?!one-)', inline) == []
    assert "http" not in inline


def test_without_what_draws_and_writes_it_the_remedy_is_named(tmp_path: Path) -> None:
    append_records(tmp_path / "records.jsonl", records())
    words = ("--records", tmp_path / "records.jsonl", "--cache", tmp_path)
    for missing in ("matplotlib", "jinja2"):
        with mock.patch.dict(sys.modules, {missing: None}):
            run = genbench("report", "--out", tmp_path / "r.html", *words)
        line = error_line(run)
        assert missing in line
        assert "pip install 'genbench[report]'" in line
        assert not (tmp_path / "r.html").exists()
