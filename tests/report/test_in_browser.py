"""The report as a reader sees it: on a phone and a screen, light and dark, and on paper."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import BROWSER, Browser, axe_source, browser, violations
from made_records import made, speed
from strangers import genbench

from genbench.quality.strips import keep_strip
from genbench.records.kinds import Record, SweepFacts, SweptBatch
from genbench.records.store import append_records

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
VIEWS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


def records() -> list[Record]:
    """Something for every part of the page, with names as long as people make them."""
    found: list[Record] = []
    metrics = {"fd": 90.0, "kd": 0.1, "cs": 9.0, "precision": 0.7, "recall": 0.5, "density": 0.8,
               "coverage": 0.6}  # fmt: skip
    models = ("hit", "biggan-deep", "a-model-with-a-rather-long-name-of-one-word", "emd")
    for number, model in enumerate(models):
        for truncation in (0.5, 1.0):
            shared: dict[str, Any] = {
                "card": f"{model}-32", "options": {"truncation": truncation},
                "run": f"run{number}",
            }  # fmt: skip
            for count in (5000, 10_000):
                for metric, usual in metrics.items():
                    value = usual * (1 + number * truncation / 5) + 1 / count
                    found.append(
                        made(
                            model, metric, value, samples=count, low=value * 0.97,
                            high=value * 1.03, samples_digest=f"{number}{truncation}",
                            reference="bundled", reference_digest="r", nfe=float(1 + number),
                            notes=("a remark on this figure",), **shared,
                        )
                    )  # fmt: skip
            points = (SweptBatch(1, 5.0 + number, 0), SweptBatch(8, 30.0 + number, 0))
            sweep = SweepFacts(points=points, ended="time", of="whole calls")
            found.append(
                speed(model, 100.0 * truncation * (1 + number), batch=64, sweep=sweep, **shared)
            )
    found.append(made("/somewhere/a/folder/of/samples", "fd", 99.0, low=98.0, high=100.0,
                      samples_digest="folder", reference="bundled", reference_digest="r",
                      weight_kind="none", checkpoint="", run="given"))  # fmt: skip
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    append_records(folder / "records.jsonl", records())
    keep_strip(folder, "00.5", torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8))
    words = ("--records", folder / "records.jsonl", "--cache", folder)
    run = genbench("report", "--out", folder / "report.html", *words)
    assert run.returncode == 0, run.stderr
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_source()


# What sticks out of the page; letters outside their plot; headline tables that must be scrolled.
FAULTS = """(() => {
  const wide = document.documentElement.clientWidth, faults = [];
  if (document.documentElement.scrollWidth > wide) faults.push("the page scrolls sideways");
  for (const found of document.querySelectorAll("body *")) {
    const box = found.getBoundingClientRect();
    if (box.width && box.right > wide + 1 && !found.closest(".wide, .skip"))
      faults.push("sticks out: " + found.outerHTML.slice(0, 80));
  }
  for (const text of document.querySelectorAll("svg.plot text")) {
    const own = text.getBoundingClientRect();
    const plot = text.closest("svg").getBoundingClientRect();
    if (own.left < plot.left - 1 || own.right > plot.right + 1 || own.top < plot.top - 1 ||
        own.bottom > plot.bottom + 1) faults.push("cut off: " + text.textContent);
  }
  if (wide > 1000) for (const table of document.querySelectorAll("section .wide"))
    if (table.checkVisibility() && table.scrollWidth > table.clientWidth)
      faults.push("needs scrolling: " + table.getAttribute("aria-label"));
  return faults.join("\\n");
})()"""
COLOURS = """(() => {
  const style = (found) => getComputedStyle(found);
  const plot = document.querySelector("svg.plot");
  return JSON.stringify([style(plot.querySelector("#front1-patch_1 path")).fill,
    style(document.body).backgroundColor, style(plot.querySelector("text")).fill,
    style(document.body).color]);
})()"""


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_nothing_is_cut_off(report: Path, chromium: Browser, width: int, scheme: str) -> None:
    chromium.show(report, width, scheme)
    assert chromium.run(FAULTS) == ""
    paper, page, letters, text = json.loads(chromium.run(COLOURS))
    assert (paper, letters) == (page, text)  # plots follow the reader's scheme
    assert page == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 28)")


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_axe_finds_nothing(
    report: Path, chromium: Browser, axe: str, width: int, scheme: str
) -> None:
    chromium.show(report, width, scheme)
    assert violations(chromium, axe) == []


def test_paper_shows_what_the_screen_folds(report: Path, chromium: Browser, tmp_path: Path) -> None:
    chromium.show(report, 1280)
    shown = (
        "[...document.querySelectorAll('details:not([open]) table')]"
        ".map(found => found.checkVisibility())"
    )
    assert not any(chromium.run(shown))
    chromium.pdf(tmp_path / "report.pdf")
    # A4 across without its margins, in pixels of CSS.
    chromium.call("Emulation.setDeviceMetricsOverride", width=1032, height=700,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
    chromium.call("Emulation.setEmulatedMedia", media="print", features=[])
    visible = chromium.run(shown)
    assert len(visible) > 10
    assert all(visible)
    assert chromium.run("document.documentElement.scrollWidth") <= 1032
    text = shutil.which("pdftotext")
    if text is not None:
        run = subprocess.run([text, tmp_path / "report.pdf", "-"], capture_output=True, text=True,
                             check=True)  # fmt: skip
        assert "Commands that fill the missing figures" in run.stdout
        assert "genbench fid --model hit" in " ".join(run.stdout.split())
        assert "90.0001" in run.stdout  # stands in the data of figures alone
