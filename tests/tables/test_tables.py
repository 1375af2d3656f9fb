"""Spec, published numbers and records become one table: which record may stand where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_records import V100, made, speed
from strangers import error_line, genbench

from genbench.errors import GenbenchError, UsageError
from genbench.models.options import adapter_options
from genbench.models.registry import find_adapter, load_adapter_class
from genbench.records.kinds import QualityRecord, Record, TrainingFacts, WorkFacts
from genbench.records.protocols import load_protocols
from genbench.tables.build import build_table
from genbench.tables.cells import Cell, Table
from genbench.tables.published import load_published
from genbench.tables.specs import at_count, load_spec, read_spec, spec_names

PUBLISHED = load_published()
PROTOCOLS = load_protocols()
ADM_128: dict[str, Any] = {"protocol": "adm-imagenet128", "resolution": 128, "samples": 50_000}
GUIDED = {
    "steps": 0,
    "sampler": "variant",
    "respacing": "",
    "eta": 0.0,
    "upsample": False,
    "classifier_scale": None,
}


def table(name: str, *records: Record) -> Table:
    return build_table(load_spec(name), PUBLISHED, records, PROTOCOLS)


def cell(built: Table, label: str, column: str, group: str = "") -> Cell:
    titles = [item.title for item in built.columns]
    (row,) = (row for row in built.rows if row.label == label and group in row.group)
    return row.cells[titles.index(column)]


def guided(metric: str, value: float, **more: object) -> QualityRecord:
    fields = {**ADM_128, "card": "adm-128", "options": GUIDED, **more}
    return made("adm-guided", metric, value, **fields)


def test_every_spec_the_papers_need_is_there() -> None:
    assert set(spec_names()) >= {
        *("hit-table1", "hit-throughput", "adm-table7", "adm-quality", "adm-compute"),
        *("emd-imagenet64", "emd-imagenet128", "biggan-truncation", "bundled"),
    }


@pytest.mark.parametrize("name", spec_names())
def test_every_published_selector_finds_something(name: str) -> None:
    """A misspelt model would quietly leave its cells empty."""
    for row in load_spec(name).rows:
        for selector in row.published:
            assert any(selector.admits(value) for value in PUBLISHED), selector


@pytest.mark.parametrize("name", spec_names())
def test_every_command_names_a_model_and_options_there_are(name: str) -> None:
    own = {"checkpoint"}
    for row in load_spec(name).rows:
        if row.measured is None:
            continue
        adapter = load_adapter_class(find_adapter(row.measured.model))
        options = adapter_options(adapter)
        assert set(row.measured.options) <= set(options)
        words = f"{row.measured.weights} {row.measured.arguments}".split()
        flags = {word[2:].replace("-", "_") for word in words if word.startswith("--")}
        assert flags <= {*options, *own}
        if row.measured.variant:
            assert row.measured.variant in [card.name for card in adapter.cards]


def test_a_cell_is_published_measured_and_their_difference() -> None:
    found = cell(table("adm-quality", guided("fid", 3.1, low=3.0, high=3.2)), "ADM-G", "FID", "128")
    assert found.published is not None
    assert found.published.value == "2.97"
    assert found.difference == pytest.approx(0.13)
    assert found.spread == pytest.approx(0.1)
    assert found.differs  # 0.13 apart, where chance and rounding explain 0.105


def test_a_difference_within_uncertainty_and_rounding_is_none() -> None:
    found = cell(
        table("adm-quality", guided("fid", 3.07, low=2.97, high=3.17)), "ADM-G", "FID", "128"
    )
    assert found.difference is not None
    assert not found.differs


@pytest.mark.parametrize(
    "change",
    [
        {"protocol_digest": "0" * 16},
        {"samples": 10_000},
        {"metric": "fd"},
        {"resolution": 256},
        {"card": "adm-256"},
        {"options": GUIDED | {"classifier_scale": 1.0}},
        {"options": GUIDED | {"steps": 100}},
        {"options": GUIDED | {"upsample": True}},
        {"options": {}},
        {"labels": "3"},  # one class alone
        {"reference": "VIRTUAL_imagenet128_labeled.npz[:60]"},  # --ref does not show in the digest
    ],
)
def test_other_records_do_not_fill_a_cell(change: dict[str, object]) -> None:
    record = guided("fid", 2.9)
    assert cell(table("adm-quality", record), "ADM-G", "FID", "128").measured == record
    other = replace(record, **change)  # type: ignore[arg-type]
    empty = cell(table("adm-quality", other), "ADM-G", "FID", "128")
    assert empty.measured is None
    assert empty.command.startswith("genbench fid --model adm-guided --res 128")
    assert "--protocol adm-imagenet128 -n 50000" in empty.command


def test_the_protocol_counts_by_digest_not_by_name() -> None:
    renamed = replace(guided("fid", 2.9), protocol="standard")
    assert cell(table("adm-quality", renamed), "ADM-G", "FID", "128").measured is not None


def test_figures_of_other_weights_or_references_do_not_stand_beside_the_latest() -> None:
    def of(metric: str, weights: str, reference: str) -> QualityRecord:
        reference_name = "VIRTUAL_imagenet128_labeled.npz"
        return guided(
            metric, 3.0, detector_identity={"weights_sha256": weights}, reference=reference_name,
            reference_digest=reference,
        )  # fmt: skip

    for other in (of("sfid", "b", "r"), of("sfid", "a", "q")):
        built = table("adm-quality", other, of("fid", "a", "r"))
        assert cell(built, "ADM-G", "FID", "128").measured is not None
        assert cell(built, "ADM-G", "sFID", "128").measured is None
        assert any("1 older figures are left out" in note for note in built.notes)
    whole = table("adm-quality", of("sfid", "a", "r"), of("fid", "a", "r"))
    assert cell(whole, "ADM-G", "sFID", "128").measured is not None
    assert not any("left out" in note for note in whole.notes)


def test_of_several_records_the_latest_counts() -> None:
    found = cell(
        table("adm-quality", guided("fid", 9.0), guided("fid", 3.0)), "ADM-G", "FID", "128"
    )
    assert found.value == 3.0


def test_a_model_genbench_lacks_is_not_missing() -> None:
    found = cell(table("adm-quality"), "LOGAN", "FID", "128")
    assert found.published is not None
    assert not found.command


def test_low_certainty_rows_wait_for_their_confirmation() -> None:
    labels = [row.label for row in table("emd-imagenet64").rows]
    assert "EMD" in labels
    assert "teacher of EMD" not in labels


def test_the_best_of_a_group_goes_by_the_metric() -> None:
    records = [
        guided("fid", 3.0, low=2.9, high=3.1),
        made("biggan-deep", "fid", 6.0, options={"truncation": 1.0}, low=5, high=7, **ADM_128),
        guided("recall", 0.6, low=0.59, high=0.61),
        made("biggan-deep", "recall", 0.4, options={"truncation": 1.0}, low=0.39, high=0.41,
             **ADM_128),
    ]  # fmt: skip
    built = table("adm-quality", *records)
    for column in ("FID", "Recall"):
        assert cell(built, "ADM-G", column, "128").standing == "best"
        assert not cell(built, "BigGAN-deep", column, "128").standing
    assert cell(built, "ADM-G", "FID", "128").best_published
    assert cell(built, "BigGAN-deep", "Precision", "128").best_published


@pytest.mark.parametrize(
    ("tier", "device", "accepted"),
    [
        ("measured", V100, True),
        ("projected", V100, False),
        ("theoretical", V100, False),
        ("measured", "NVIDIA H100 80GB HBM3", False),
    ],
)
def test_a_v100_column_takes_only_what_a_v100_measured(
    tier: str, device: str, accepted: bool
) -> None:
    record = speed("hit", 50.0, metric="throughput", tier=tier, device=device, resolution=256)
    found = cell(table("hit-throughput", record), "HiT-B", "images per V100-second")
    assert (found.measured == record) is accepted
    if not accepted:
        assert found.command == "genbench throughput --model hit --res 256 --gpu v100"


def test_training_and_sampling_speeds_are_not_mixed() -> None:
    work = WorkFacts(
        convention="", achieved_flops=1.0, utilisation_datasheet=0.21, matmul_flops=1.0,
        utilisation_matmul=1.0,
    )  # fmt: skip

    def built(
        metric: str = "training_throughput", arithmetic: str = "float16", paper: bool = True
    ) -> Table:
        training = TrainingFacts(
            network="adm-256", form="naive", implementation="", published_batch=paper
        )
        return table("adm-table7", speed(
            "adm-guided", 12.0, metric=metric, device=V100, resolution=256, mode="train",
            arithmetic=arithmetic, training=training, work=work,
        ))  # fmt: skip

    column, group = "images per V100-second", "256×256"
    rate = cell(built(), "naive", column, group)
    assert (rate.value, rate.published and rate.published.value) == (12.0, "4.4")
    assert cell(built(), "naive", "utilisation, %", group).value == 21.0
    assert cell(built(), "optimised", column, group).measured is None
    assert cell(built(), "naive", column, "64 → 256").measured is None  # the upsampler's row
    for other in (built(metric="throughput"), built(arithmetic="float32"), built(paper=False)):
        assert cell(other, "naive", column, group).measured is None


def truncated(value: float, metric: str, figure: float) -> QualityRecord:
    return made("biggan-deep", metric, figure, options={"truncation": value}, **ADM_128)


def test_the_best_of_a_sweep_fills_its_row() -> None:
    sweep = [
        *(truncated(0.2, "fid", 20.0), truncated(0.2, "is", 250.0)),
        *(truncated(0.8, "fid", 6.0), truncated(0.8, "is", 150.0)),
        *(truncated(1.0, "fid", 6.2), truncated(1.0, "is", 140.0)),
    ]
    built = table("biggan-truncation", *sweep)
    low = "BigGAN-deep, truncation at min FID"
    assert (cell(built, low, "FID", "128").value, cell(built, low, "IS", "128").value) == (6, 150)
    high = "BigGAN-deep, truncation at max IS"
    assert (cell(built, high, "FID", "128").value, cell(built, high, "IS", "128").value) == (
        20,
        250,
    )
    plain = "BigGAN-deep, no truncation"
    assert cell(built, plain, "FID", "128").value == 6.2
    alone = table("biggan-truncation", *sweep[:2])  # one setting has no best
    assert cell(alone, low, "FID", "128").measured is None


def test_the_bundled_table_names_the_offline_detector_fd() -> None:
    records: list[Record] = [
        made("hit", "fd", 30.0, nfe=1.0, low=29.0, high=31.0),
        made("biggan-deep", "fd", 40.0, options={"truncation": 1.0}, low=39.0, high=41.0),
        made("biggan-deep", "fd", 90.0, options={"truncation": 0.5}),  # a sweep's, not the row's
        speed("hit", 123.0),
    ]
    built = table("bundled", *records)
    assert [column.title for column in built.columns][:3] == ["FD", "KD", "CS"]
    assert cell(built, "HiT", "FD").standing == "best"
    assert not cell(built, "HiT", "NFE").standing
    assert cell(built, "BigGAN-deep", "NFE").command  # a record of a time when nobody counted
    assert cell(built, "BigGAN-deep", "FD").value == 40.0
    assert (cell(built, "HiT", "NFE").value, cell(built, "HiT", "images/s").value) == (1, 123)
    assert cell(built, "EMD", "FD").command.startswith("genbench fid --model emd --res 32")


def test_faults_list_what_is_missing_and_what_differs() -> None:
    faults = table("adm-quality", guided("fid", 5.0, low=4.9, high=5.1)).faults()
    (differing,) = (line for line in faults if line.startswith("differs"))
    assert "ImageNet 128×128: ADM-G, FID: measured 5 ± 0.1, published 2.97" in differing
    assert sum(line.startswith("missing") for line in faults) == len(faults) - 1 > 40


def test_another_sample_count_makes_another_table() -> None:
    few = made("hit", "fd", 31.0, samples=2000)
    assert cell(table("bundled", few), "HiT", "FD").measured is None
    spec = at_count(load_spec("bundled"), 2000)
    built = build_table(spec, PUBLISHED, [few], PROTOCOLS)
    assert cell(built, "HiT", "FD").measured == few
    assert any("2,000 samples" in note for note in built.notes)
    assert cell(built, "EMD", "FD").command.endswith("-n 2000 --ci")


def test_a_spec_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "title = 'Mine'\n[[column]]\nmetric = 'fd'\n[[row]]\nlabel = 'a'\n"
        "measured = { model = 'hit', resolution = 32, protocol = 'bundled', samples = 10000 }\n"
    )
    run = genbench("table", path)
    assert run.returncode == 0, run.stderr
    assert "Mine" in run.stdout
    assert "is missing: check the path" in error_line(genbench("table", tmp_path / "no.toml"))


def test_a_pickle_is_converted_before_it_is_measured() -> None:
    commands = [cell.command for row in table("emd-imagenet64").rows for cell in row.cells]
    found = {command for command in commands if "--model edm" in command}
    assert found
    for edm in found:
        convert, measure = edm.split(" && ")
        assert convert.startswith("genbench convert edm edm-imagenet-64x64-cond-adm.pkl --out ")
        assert convert.split()[5] in measure


def test_an_unknown_table_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean adm-quality"):
        load_spec("adm-qualty")


COLUMN = "[[column]]\nmetric = 'fid'\n"
ROW = "[[row]]\nlabel = 'a'\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title = ", "not valid TOML"),
        ("title = 'x'\nvalues = 3", "there is no key values"),
        ("title = 'x'", "lacks column, row: add what is missing"),
        ("title = ''\n" + COLUMN + ROW, "title"),
        ("title = 'x'\ncolumn = []\n" + ROW, "column"),
        ("title = 'x'\nrow = ['a']\n" + COLUMN, "row[0] 'a' is not a table of keys"),
        ("title = 'x'\n[[column]]\nmetric = 'speed'\n" + ROW, "speed is no metric of a protocol"),
        ("title = 'x'\n[[column]]\nmetric = 'precison'\n" + ROW, "did you mean precision?"),
        (
            "title = 'x'\n"
            + COLUMN
            + ROW
            + "measured = {model = 'a', resolution = 32, protocol = 'bundeld', samples = 5}",
            "row[0].measured.protocol bundeld: name one of protocols.toml; did you mean bundled?",
        ),
        (
            "title = 'x'\n"
            + COLUMN
            + ROW
            + "measured = {model = 'a', resolution = 32, protocol = 'bundled'}",
            "row[0].measured.samples is missing",
        ),
        ("title = 'x'\n" + COLUMN + "width = 3\n" + ROW, "there is no key column[0].width"),
        ("title = 'x'\n" + COLUMN + "better = 'up'\n" + ROW, "column[0].better up is not one"),
        ("title = 'x'\n" + COLUMN + "digits = '2'\n" + ROW, "column[0].digits '2'"),
        ("title = 'x'\n[[column]]\ntitle = 'a'\n" + ROW, "lacks column[0].metric"),
        (
            "title = 'x'\n" + COLUMN + ROW + "published = {model = 'a', resolution = 32}",
            "lacks row[0].published[0].table, row[0].published[0].dataset",
        ),
        (
            "title = 'x'\nmeasured = {samples = '50k'}\n"
            + COLUMN
            + ROW
            + "measured = {model = 'a', resolution = 32}",
            "row[0].measured.samples '50k' is not a whole number",
        ),
        (
            "title = 'x'\n"
            + COLUMN
            + ROW
            + "measured = {model = 'a', resolution = 32, where = {samples = {}}}",
            "row[0].measured.where.samples",
        ),
    ],
)
def test_a_bad_spec_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(GenbenchError) as refusal:
        read_spec(tmp_path / "bad.toml")
    assert str(refusal.value).startswith(str(tmp_path / "bad.toml"))
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_column_may_name_a_metric_as_other_detectors_report_it(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        "title = 'x'\n[[column]]\nmetric = 'fd'\n[[row]]\nlabel = 'a'\n"
        "measured = { model = 'hit', resolution = 32, protocol = 'bundled', samples = 10000 }\n"
    )
    found = build_table(
        read_spec(tmp_path / "own.toml"), PUBLISHED, [made("hit", "fd", 96.5)], PROTOCOLS
    )
    assert cell(found, "a", "FD").value == 96.5
