"""Speeds as tables: this device's own figures, then another GPU's seconds, tier by tier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from genbench.cli.console import rounded, show_rows, stdout
from genbench.records.measurement import Measurement
from genbench.speed.datasheets import Gpu
from genbench.speed.target_gpu import TIERS, Backtest, second_of

_RATES = ("throughput", "training_throughput")


def show_speeds(records: Sequence[Measurement]) -> None:
    """The device's own figures, one row a model and batch size."""
    rates = [record for record in records if record.metric in _RATES]
    if not rates:
        return
    environment = rates[0].environment
    stdout.print(escape(f"{environment['device']}, measured here"), soft_wrap=True)
    rows = []
    for rate in rates:
        near = [item for item in records if item.card == rate.card and item.model == rate.model]
        rows.append(dict(zip(_COLUMNS, _row(rate, near), strict=True)))
    show_rows(rows)
    for line in _footer(rates):
        stdout.print(escape(line), soft_wrap=True, highlight=False)


_COLUMNS = ("model", "step", "batch", "images/s", "95% interval", "latency", "TFLOP/s", "of peak",
            "of matmul", "memory", "J/image")  # fmt: skip


def _row(rate: Measurement, near: Sequence[Measurement]) -> list[str]:
    settings = rate.settings
    latency = next((item.value for item in near if item.metric == "latency"), None)
    memory = [
        item.value for item in near
        if item.metric == "peak_memory" and item.settings.get("batch") == settings["batch"]
    ]  # fmt: skip
    training = rate.metric == "training_throughput"
    reached = settings.get("achieved_flops")
    joules = settings.get("joules_per_image")
    return [
        str(settings.get("network", rate.card)),
        f"training, {settings['form']}" if training else "sampling",
        str(settings["batch"]),
        rounded(rate.value),
        f"{rounded(rate.low or 0)} … {rounded(rate.high or 0)}",
        "–" if training or latency is None else f"{latency * 1e3:.1f} ms",
        "–" if reached is None else f"{reached / 1e12:.3g}",
        _share(settings.get("utilisation_datasheet")),
        _share(settings.get("utilisation_matmul")),
        f"{memory[0] / 2**20:,.0f} MiB" if memory and memory[0] else "–",
        "–" if joules is None else f"{joules:.3g}",
    ]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _footer(rates: Sequence[Measurement]) -> Iterator[str]:
    first = rates[0]
    settings = first.settings
    weights = dict.fromkeys(f"{rate.card}: {rate.weight_kind}" for rate in rates if rate.card)
    yield (
        f"{settings['precision']}, clock: {settings['clock']}, protocol {first.protocol} "
        f"[{first.protocol_digest}], run {first.run}, genbench {first.environment['genbench']}, "
        f"torch {first.environment['torch']}"
    )
    if weights:
        yield f"weights: {', '.join(weights)}"
    for rate in rates:
        told = rate.settings
        yield (
            f"{rate.card} at batch {told['batch']}: {told['calls']} calls in "
            f"{told['wall_seconds']:.1f} s, median {told['median_seconds'] * 1e3:.1f} ms, "
            f"interquartile range {told['iqr_seconds'] * 1e3:.1f} ms"
        )
        if "sweep" in rate.settings:
            curve = ", ".join(f"{batch}: {rounded(value)}" for batch, value, _ in
                              rate.settings["sweep"])  # fmt: skip
            yield f"batch sweep of {rate.card}: {curve} images/s; {rate.settings['sweep_ended']}"
        if rate.settings.get("host_copy_seconds") is not None:
            milliseconds = rate.settings["host_copy_seconds"] * 1e3
            yield (
                f"copying {rate.settings['batch']} images of {rate.card} to the host takes "
                f"{milliseconds:.2f} ms more a batch, not in the rate"
            )
    for note in dict.fromkeys(f"{rate.card or rate.settings.get('network')}: {note}"
                              for rate in rates for note in rate.notes):  # fmt: skip
        yield f"note: {note}"


def show_target(records: Sequence[Measurement], target: Gpu, backtests: Sequence[Backtest]) -> None:
    """Images a second of the target GPU, every row with the tier it belongs to."""
    name = second_of(target)
    rows = [record for record in records if record.settings.get("target") == target.name]
    table = Table(title=escape(f"images a {name}-second, by tier"), title_justify="left")
    for title in ("model", "step", "tier", f"images/{name}-s"):
        table.add_column(title, justify="right" if "images" in title else "left")
    table.add_column("from", overflow="fold")
    for record in sorted(rows, key=lambda row: TIERS.index(row.settings["tier"])):
        tier = record.settings["tier"]
        value = rounded(record.value)
        if tier == "projected":
            value = f"{rounded(record.low or 0)} … {rounded(record.high or 0)}"
        shown = str(record.settings.get("network", record.card))
        form = record.settings.get("form")
        step = f"training, {form}" if form else "sampling"
        table.add_row(*map(escape, (shown, step, tier, value, record.settings["how"])))
    stdout.print(table)
    if not any(record.settings["tier"] == "measured" for record in rows):
        stdout.print(
            f"nothing was measured on a {name}: theoretical rows are arithmetic at 100% of a "
            "peak, projected ones a model of two datasheets",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if any(record.settings["tier"] == "projected" for record in rows):
        for line in _backtest_lines(backtests):
            stdout.print(escape(line), soft_wrap=True, highlight=False)


def _backtest_lines(backtests: Sequence[Backtest]) -> Iterator[str]:
    if not backtests:
        yield (
            "the projection has not been tested on this device: genbench throughput --train "
            "--model adm-guided --res 64 --dtype float16 sets it beside ADM's own V100 figures"
        )
    for test in backtests:
        verdict = "inside" if test.error == 0 else f"{test.error:+.0%} off"
        yield (
            f"back-test, {test.network} training: projected {rounded(test.low)} … "
            f"{rounded(test.high)}, ADM Table 7 measured {test.published} ({verdict})"
        )
