"""Another GPU's seconds as a table, tier by tier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from genbench.cli.console import stdout
from genbench.records.kinds import SpeedRecord
from genbench.speed.backtests import Backtest
from genbench.speed.datasheets import Gpu
from genbench.speed.profiling import Profile
from genbench.speed.target_gpu import TIERS, second_of
from genbench.tables.listings import network_of, rounded, step_of


def show_target(records: Sequence[SpeedRecord], target: Gpu, backtests: Sequence[Backtest]) -> None:
    """Images a second of the target GPU, every row with the tier it belongs to."""
    name = second_of(target)
    rows = [(record, record.target) for record in records
            if record.target is not None and record.target.gpu == target.name]  # fmt: skip
    table = Table(title=escape(f"images a {name}-second, by tier"), title_justify="left")
    for title in ("model", "step", "tier", f"images/{name}-s"):
        table.add_column(title, justify="right" if "images" in title else "left")
    table.add_column("from", overflow="fold")
    for record, told in sorted(rows, key=lambda row: TIERS.index(row[0].tier)):
        value = rounded(record.value)
        if record.tier == "projected":
            value = f"{rounded(record.low or 0)} … {rounded(record.high or 0)}"
        table.add_row(
            *map(escape, (network_of(record), step_of(record), record.tier, value, told.how))
        )
    stdout.print(table)
    tiers = {record.tier for record, _ in rows}
    if "measured" not in tiers:
        stdout.print(
            f"nothing was measured on a {name}: theoretical rows are arithmetic at 100% of a "
            "peak, projected ones a model of two datasheets",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if "projected" in tiers:
        for line in _backtest_lines(backtests):
            stdout.print(escape(line), soft_wrap=True, highlight=False)


def show_profile(profile: Profile) -> None:
    """Where the time of one call goes, group by group, and where its trace lies."""
    call = "a call" if profile.whole else "the network calls of a call"
    table = Table(title=escape(f"{profile.card}, batch {profile.batch}: {call} of "
                               f"{profile.wall:.4g} s"), title_justify="left")  # fmt: skip
    for title in ("group", "operations", "seconds", "of the call", "of the ceiling"):
        table.add_column(title, justify="left" if title == "group" else "right")
    for group in profile.groups:
        ceiling = "" if group.ceiling is None else f"{group.ceiling:.0%}"
        table.add_row(group.name, f"{group.calls:,}", f"{group.seconds:.4g}",
                      f"{group.seconds / profile.wall:.1%}", ceiling)  # fmt: skip
    stdout.print(table)
    waited = profile.wall - profile.busy
    if waited > 0:
        stdout.print(f"beside them: {waited:.4g} s ({waited / profile.wall:.1%}), Python and "
                     "waiting", highlight=False, soft_wrap=True)  # fmt: skip
    for trace in profile.traces:
        stdout.print(f"trace: {trace}", markup=False, highlight=False, soft_wrap=True)


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
