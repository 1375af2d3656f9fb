"""The site as a reader sees it: opened from a file, by keyboard, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSER, Browser, axe_source, browser, violations
from made_records import made, speed

from genbench.records.kinds import Record
from genbench.site.folder import write_folder
from genbench.site.pages import Site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
COUNT = 70  # subjects: two pages of a table
PAGES = ("index.html", "runs.html", "fronts.html", "TABLE", "models/hit.html", "runs/run1.html")


def records() -> list[Record]:
    """Something for every page, with names as long as people make them."""
    found: list[Record] = []
    models = ("hit", "a-model-with-a-rather-long-name-of-one-word")
    for number in range(COUNT):
        model = models[number % 2]
        shared: dict[str, Any] = {
            "card": f"{model}-32", "options": {"truncation": number / 10}, "run": f"run{number}",
            "created": f"2026-11-{1 + number % 28:02}T00:00:00+00:00",
        }  # fmt: skip
        for metric, usual in {"fd": 90.0, "precision": 0.7, "recall": 0.5}.items():
            value = usual * (1 + (number * 37 % COUNT) / 100)
            found.append(
                made(
                    model, metric, value, low=value * 0.97, high=value * 1.03,
                    interval="95% delta method over the samples, reference fixed",
                    reference="bundled", reference_digest="r" * 64, notes=("a remark",), **shared,
                )
            )  # fmt: skip
        if number < 6:
            found.append(speed(model, 100.0 + number, batch=64, **shared))
    again: dict[str, Any] = {"card": "hit-32", "options": {"truncation": 0.0}, "run": "again"}
    found.append(made("hit", "fd", 99.0, reference="bundled", reference_digest="r" * 64, **again))
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_folder(folder, Site(records=records()).files())
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_source()


def page_of(site: Path, name: str) -> Path:
    return next(site.glob("tables/bundled-*.html")) if name == "TABLE" else site / name


# What sticks out of the page, other than within what scrolls.
FAULTS = """(() => {
  const wide = document.documentElement.clientWidth, faults = [];
  if (document.documentElement.scrollWidth > wide) faults.push("the page scrolls sideways");
  for (const found of document.querySelectorAll("body *")) {
    const box = found.getBoundingClientRect();
    if (box.width && box.right > wide + 1 && !found.closest(".wide, .skip"))
      faults.push("sticks out: " + found.outerHTML.slice(0, 80));
  }
  return faults.join("\\n");
})()"""
ROWS = "[...document.querySelectorAll('tbody tr')]"
FIRST = "document.querySelector('tbody th').textContent"
SORTED = "[...document.querySelectorAll('thead th')].map(one => one.getAttribute('aria-sort'))"
VALUES = "[...document.querySelectorAll('tbody tr')].map(one => parseFloat(one.cells[1].innerText))"


@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_and_axe_finds_nothing(
    site: Path, chromium: Browser, axe: str, name: str
) -> None:
    for width, scheme in ((390, "dark"), (1280, "light")):
        chromium.show(page_of(site, name), width, scheme)
        assert chromium.run(FAULTS) == ""
        assert violations(chromium, axe) == []
    assert chromium.complaints == []


def test_tables_sort_by_keyboard(site: Path, chromium: Browser) -> None:
    chromium.show(page_of(site, "TABLE"), 1280)
    assert chromium.run(SORTED)[:2] == [None, "ascending"]
    assert chromium.run(VALUES) == sorted(chromium.run(VALUES))
    chromium.run("document.querySelectorAll('thead button')[0].focus()")
    chromium.press("Tab")
    chromium.press("Enter")
    assert chromium.run(SORTED)[:2] == [None, "descending"]
    values = chromium.run(VALUES)
    assert len(values) == 50
    assert values == sorted(values, reverse=True)
    assert "sorted by FD" in chromium.run("document.querySelector('[role=status]').textContent")


def test_pages_turn_and_rows_are_found(site: Path, chromium: Browser) -> None:
    chromium.show(site / "index.html", 390)  # whose rows come when they are asked for
    first = chromium.run(FIRST)
    loaded = "new Promise(go => setTimeout(() => go(arrived.size), 300))"
    assert chromium.run("document.querySelectorAll('.controls button')[1].click()") is None
    assert chromium.run(loaded) == 1
    assert chromium.run(FIRST) != first
    chromium.show(page_of(site, "TABLE"), 1280)
    assert chromium.run(f"{ROWS}.length") == 50
    chromium.run(
        "(() => { const found = document.querySelector('input'); found.value = ' LONG-name word';"
        " found.dispatchEvent(new Event('input')); })()"
    )
    assert chromium.run(f"{ROWS}.length") == COUNT / 2
    assert chromium.run(f"{ROWS}.every(one => one.innerText.includes('long-name'))")


def test_rows_of_the_script_are_those_of_the_page(site: Path, chromium: Browser) -> None:
    chromium.show(page_of(site, "TABLE"), 1280)
    still = chromium.run("document.querySelector('tbody').innerText")
    links = "[...document.querySelectorAll('tbody a')].map(one => one.href)"
    before = chromium.run(links)
    chromium.run("tables[0].draw()")
    assert chromium.run("document.querySelector('tbody').innerText") == still
    assert chromium.run(links) == before


def test_paper_has_all_rows(site: Path, chromium: Browser) -> None:
    chromium.show(page_of(site, "TABLE"), 1280)
    chromium.run("window.dispatchEvent(new Event('beforeprint'))")
    assert chromium.run(f"{ROWS}.length") == COUNT
    chromium.run("window.dispatchEvent(new Event('afterprint'))")
    assert chromium.run(f"{ROWS}.length") == 50
