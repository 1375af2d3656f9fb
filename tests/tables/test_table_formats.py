"""Tables as a reader meets them: on the terminal, in Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_records import made, speed
from rich.console import Console
from strangers import error_line, genbench

from genbench.records.kinds import Record
from genbench.records.protocols import load_protocols
from genbench.records.store import append_records, read_records
from genbench.tables.build import build_table
from genbench.tables.cells import Table
from genbench.tables.data_formats import table_to_csv
from genbench.tables.html import table_to_html
from genbench.tables.layout import lay_out
from genbench.tables.numbers import shown_number, with_spread
from genbench.tables.published import load_published
from genbench.tables.ranking import TIED
from genbench.tables.specs import load_spec, spec_names
from genbench.tables.terminal import print_table, table_to_terminal
from genbench.tables.text_formats import table_to_latex, table_to_markdown

ROOT = Path(__file__).parents[2]
PUBLISHED = load_published()


def table(name: str, *records: Record) -> Table:
    return build_table(load_spec(name), PUBLISHED, records, load_protocols())


BUNDLED = (
    made("hit", "fd", 31.26, low=30.2, high=32.4, nfe=1.0, weight_kind="trained-here"),
    made(
        "biggan-deep",
        "fd",
        42.0,
        options={"truncation": 1.0},
        weight_kind="random-init",
        low=41.0,
        high=43.0,
    ),
    made("hit", "precision", 0.0001, low=0.0, high=0.0004, weight_kind="trained-here"),
    speed("hit", 250.0, device="AMD EPYC", weight_kind="trained-here"),
)


def test_markdown_is_golden() -> None:
    lines = table_to_markdown(table("bundled", *BUNDLED)).splitlines()
    assert lines[0] == "**Four systems, one protocol: Fashion-MNIST 32×32**"
    assert lines[2] == (
        "|  | FD ↓ | KD ↓ | CS ↑ | Precision ↑ | Recall ↑ | Density ↑ | Coverage ↑ | NFE | "
        "images/s ↑ |"
    )
    assert lines[4] == (
        "| HiT | **31.3 ± 1.1** | – | – | 0.00010 ± 0.00020 | – | – | – | 1 | 250.0 <sup>a</sup> |"
    )
    assert lines[5] == "| BigGAN-deep | 42.0 ± 1.0 <sup>‡</sup> | – | – | – | – | – | – | – | – |"
    text = "\n".join(lines)
    assert "\nHiT: weights trained with genbench" in text
    assert "<sup>a</sup> on AMD EPYC" in text
    assert "<sup>‡</sup> random weights" in text
    assert "protocol bundled [" in text
    assert "genbench fid --model emd --res 32 --protocol bundled -n 10000 --ci" in text


def test_unverified_values_carry_their_mark_everywhere() -> None:
    built = table("hit-table1")
    assert "| 54.17 <sup>? †</sup> |" in table_to_markdown(built)
    assert "54.17 ? †" in table_to_terminal(built)
    assert "54.17\\textsuperscript{?,$\\dagger$}" in table_to_latex(built)
    assert "54.17<sup>? †</sup>" in table_to_html(built)
    (seen,) = (line for line in table_to_markdown(built).splitlines() if "30.83" in line)
    assert "†" not in seen.split("|")[2]


def test_an_estimate_is_marked_where_a_column_admits_it() -> None:
    from dataclasses import replace

    spec = load_spec("bundled")
    loose = replace(spec, columns=(replace(spec.columns[-1], where={"mode": ("*",)}),))
    record = speed("hit", 250.0, tier="projected")
    built = build_table(loose, PUBLISHED, [record], load_protocols())
    grid = lay_out(built)
    assert grid.lines[0].entries[0].text == "≈ 250.0"
    assert ("≈", "an estimate, not a measurement (projected)") in grid.footnotes


def test_slips_are_footnotes() -> None:
    notes = [text for _, text in lay_out(table("adm-compute")).footnotes]
    assert any("a slip in the paper" in note and "3.94" in note for note in notes)
    assert any("126" in note for note in notes)


def test_csv_keeps_every_digit_and_says_where_numbers_come_from() -> None:
    rows = list(csv.DictReader(io.StringIO(table_to_csv(table("bundled", *BUNDLED)))))
    (first,) = (row for row in rows if row["row"] == "HiT" and row["column"] == "FD")
    assert (first["measured"], first["low"], first["high"]) == ("31.26", "30.2", "32.4")
    assert first["weights"] == "trained-here"
    paper = list(csv.DictReader(io.StringIO(table_to_csv(table("hit-table1")))))
    assert paper[0]["published"] == "54.17"
    assert paper[0]["confidence"] == "unverified"
    assert paper[0]["locator"] == "Table 1"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-0.0001, 2, "0.00"), (1234.5, 1, "1,234.5"), (-2.5, 1, "-2.5"), (0.5, 0, "0")],
)
def test_numbers_are_shown_plainly(value: float, digits: int, text: str) -> None:
    assert shown_number(value, digits) == text


class Structure(HTMLParser):
    """Counts of opened and closed tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", spec_names())
def test_html_is_well_formed_and_fetches_nothing(name: str) -> None:
    text = table_to_html(table(name, *BUNDLED))
    found = Structure(text)
    assert not found.open
    tags = [tag for tag, _ in found.seen]
    assert tags.count("main") == 1
    assert tags.count("caption") == 1
    assert "script" not in tags
    assert not any("src" in attributes for _, attributes in found.seen)
    assert all((item.get("href") or "#").startswith("#") for _, item in found.seen)


@pytest.mark.parametrize("name", spec_names())
def test_every_column_count_agrees(name: str) -> None:
    grid = lay_out(table(name, *BUNDLED))
    width = sum(len(heading.parts) for heading in grid.headings)
    assert all(len(line.entries) == width for line in grid.lines)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(tmp_path: Path) -> None:
    parts = [table_to_latex(table(name, *BUNDLED)) for name in spec_names()]
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage[landscape]{geometry}\n"
        "\\begin{document}\n" + "\\clearpage\n".join(parts) + "\\end{document}\n"
    )
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("name", spec_names())
def test_latex_holds_only_what_pdflatex_reads(name: str) -> None:
    text = table_to_latex(table(name, *BUNDLED))
    printed = [line for line in text.splitlines() if not line.startswith("%")]
    assert all(line.isascii() for line in printed), [x for x in printed if not x.isascii()]
    assert text.count("\\begin{") == text.count("\\end{")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    append_records(tmp_path / "records.jsonl", BUNDLED)
    return tmp_path / "records.jsonl"


def test_the_command_prints_every_format(records: Path) -> None:
    for format, sign in (
        ("terminal", "┃"), ("md", "|---|"), ("latex", "\\toprule"), ("csv", "table,group"),
        ("html", "<!DOCTYPE html>"),
    ):  # fmt: skip
        run = genbench("table", "bundled", "--format", format, "--records", records)
        assert run.returncode == 0, run.stderr
        assert sign in run.stdout
        assert "31.3" in run.stdout or "31.26" in run.stdout


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_no_terminal_is_too_narrow_for_a_figure(columns: int) -> None:
    out = io.StringIO()
    print_table(Console(file=out, width=columns), table("bundled", *BUNDLED))
    shown = out.getvalue().split("\n‡ random")[0]
    for figure in ("31.3 ± 1.1", "0.00010 ± 0.00020", "42.0 ± 1.0 ‡", "250.0 a"):
        assert figure in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= columns


@pytest.mark.parametrize(("columns", "rows"), [(200, 4), (100, 8), (85, 8)])
def test_a_narrow_terminal_turns_the_bundled_table_over(columns: int, rows: int) -> None:
    """At 100 columns, and without borders at 85, models stand side by side, each under its name."""
    out = io.StringIO()
    built = table("bundled", *read_records(ROOT / "docs" / "bundled-records.jsonl"))
    print_table(Console(file=out, width=columns), built)
    assert sum("±" in line for line in out.getvalue().splitlines()) == rows  # the NFE has none
    header = next(line for line in out.getvalue().splitlines() if "BigGAN-deep" in line)
    assert ("EMD" in header) is (columns < 200)


def test_parts_have_the_header_that_belongs_to_them() -> None:
    out = io.StringIO()
    print_table(Console(file=out, width=60), table("adm-quality"))
    text = out.getvalue()
    tops = [line for line in text.splitlines() if "↓" in line or "↑" in line]
    assert ["".join(line.replace("┃", " ").split()) for line in tops] == [
        "FID↓", "sFID↓", "Precision↑", "Recall↑",
    ]  # fmt: skip
    assert text.count("ADM, dropout") == 4


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (92.2341, 0.8499, "92.23 ± 0.85"), (0.50265, 0.0098, "0.5027 ± 0.0098"),
        (0.503, 0.00996, "0.503 ± 0.010"), (2157.9, 60.6, "2,158 ± 61"),
        (31234.0, 612.0, "31,234 ± 612"), (0.25, 0.0, "0.250 ± 0.000"),
    ],
)  # fmt: skip
def test_an_interval_has_two_significant_digits(value: float, spread: float, text: str) -> None:
    assert with_spread(value, spread, 3) == text


def test_what_every_figure_shares_is_said_once() -> None:
    built = table("bundled", *read_records(ROOT / "docs" / "bundled-records.jsonl"))
    grid = lay_out(built)
    assert grid.notes[:2] == ("weights trained with genbench", "images/s: on AMD EPYC")
    assert [text for _, text in grid.footnotes] == [TIED]
    notes = lay_out(table("hit-throughput")).notes
    assert notes[0] == "images per V100-second: no second source confirms the images per second"
    of_row = "ImageNet 64×64, BigGAN-deep: the ADM authors trained this model themselves"
    assert of_row in lay_out(table("adm-quality")).notes


def test_check_fails_until_all_is_measured_and_the_file_is_current(
    records: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table.md"
    words = ("table", "bundled", "--format", "md", "--records", records, "--out", out)
    missing = genbench(*words, "--check")
    assert missing.returncode == 1
    assert "missing: EMD, FD: genbench fid --model emd" in missing.stdout
    assert f"not current: {out}" in missing.stdout
    assert genbench(*words).returncode == 0
    assert "not current" not in genbench(*words, "--check").stdout
    out.write_text(out.read_text() + "\n")
    assert "not current" in genbench(*words, "--check").stdout


def test_one_call_writes_every_format(records: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"table{suffix}" for suffix in (".md", ".tex", ".csv", ".html", ".txt")]
    words: list[str | Path] = ["table", "bundled", "--records", records]
    for file in files:
        words += ["--out", file]
    assert genbench(*words).returncode == 0
    starts = [file.read_text().splitlines()[0] for file in files]
    assert [start[:12] for start in starts] == [
        "**Four syste", "% \\usepackag", "table,group,", "<!DOCTYPE ht", "Four systems",
    ]  # fmt: skip
    line = error_line(genbench("table", "bundled", "--records", records, "--out", "table.docx"))
    assert ".md, .tex" in line


def full_records() -> list[Record]:
    options = {
        "biggan-deep": {"truncation": 1.0},
        "adm-guided": {
            "sampler": "variant", "steps": 0, "respacing": "", "classifier_scale": None,
        },
    }  # fmt: skip
    metrics = ("fd", "kd", "cs", "precision", "recall", "density", "coverage")
    models = ("hit", "biggan-deep", "adm-guided", "emd")
    return [
        *(
            made(m, k, 0.5, nfe=1.0, card=f"{m}-32", options=options.get(m, {}))
            for m in models
            for k in metrics
        ),
        *(speed(m, 10.0, card=f"{m}-32", options=options.get(m, {})) for m in models),
    ]


def test_check_passes_when_there_is_nothing_to_say(tmp_path: Path) -> None:
    append_records(tmp_path / "full.jsonl", full_records())
    run = genbench("table", "bundled", "--check", "--records", tmp_path / "full.jsonl")
    assert (run.returncode, run.stdout) == (0, "")


def test_an_unknown_table_is_one_line() -> None:
    line = error_line(genbench("table", "bundle"))
    assert "did you mean bundled" in line


def test_tables_are_listed() -> None:
    run = genbench("ls", "tables")
    for name in spec_names():
        assert name in run.stdout
