"""What the figures show is read off the records rightly: fronts, limits, sweeps."""

from __future__ import annotations

from made_records import made, speed

from genbench.records.kinds import QualityRecord, Record, SweepFacts, SweptBatch
from genbench.report.curves import (
    batch_curves,
    evaluation_plots,
    speed_plots,
    sweeps,
)


def point(model: str, quality: float, rate: float, **more: object) -> list[Record]:
    return [
        made(model, "fd", quality, card=f"{model}-32"),
        speed(model, rate, card=f"{model}-32", **more),  # type: ignore[arg-type]
    ]


def test_the_front_holds_whom_nobody_beats_in_both() -> None:
    records = [
        *point("fast", 90.0, 1000.0),
        *point("middle", 50.0, 100.0),
        *point("worse", 60.0, 90.0),  # middle is better and faster
        *point("good", 20.0, 5.0),
        *point("slow", 20.0, 1.0),  # good is as good and faster
    ]
    (plot,) = speed_plots(records)
    assert {item.model for item in plot.points if item.on_front} == {"fast", "middle", "good"}
    assert (plot.metric, plot.samples, plot.device) == ("fd", 10_000, "a CPU")


def test_only_figures_that_compare_share_a_plot() -> None:
    records = [
        *point("a", 10.0, 5.0),
        *point("b", 20.0, 50.0, device="a GPU"),
        made("a", "fd", 12.0, samples=2000, card="a-32"),  # fewer samples: not plotted
        made("a", "fd", 12.0, protocol_digest="other", card="a-32"),
    ]
    plots = speed_plots(records)
    assert sorted(plot.device for plot in plots) == ["a CPU", "a CPU", "a GPU"]
    assert all(len(plot.points) == 1 for plot in plots)
    assert {plot.samples for plot in plots} == {10_000}


def test_estimates_and_other_settings_are_no_speed_of_a_model() -> None:
    quality = made("a", "fd", 10.0, options={"truncation": 0.5})
    assert not speed_plots([quality, speed("a", 5.0, options={"truncation": 1.0})])
    assert not speed_plots(
        [
            quality,
            speed(
                "a",
                5.0,
                metric="throughput_v100_projected",
                tier="projected",
                options={"truncation": 0.5},
            ),
        ]
    )
    assert not speed_plots(
        [quality, speed("a", 5.0, options={"truncation": 0.5}, arithmetic="float16")]
    )
    assert speed_plots([quality, speed("a", 5.0, options={"truncation": 0.5}, code_digest="other")])


def test_the_latest_of_several_records_is_plotted() -> None:
    records = [*point("a", 10.0, 5.0), *point("a", 11.0, 6.0)]
    (plot,) = speed_plots(records)
    assert [(item.quality.value, item.speed.value) for item in plot.points] == [(11.0, 6.0)]


def test_evaluations_are_those_counted_at_one_sample_count() -> None:
    records = [
        made("many", "fd", 10.0, samples=500, nfe=50.0, card="m", options={"steps": 50}),
        made("many", "fd", 12.0, samples=500, nfe=10.0, card="m", options={"steps": 10}),
        made("one", "fd", 15.0, samples=500, nfe=1.0, card="o"),
        made("one", "fd", 9.0, samples=1000, nfe=1.0, card="o"),  # alone at its count
        made("uncounted", "fd", 1.0, samples=500, card="u"),
    ]
    (plot,) = evaluation_plots(records)
    assert [(item.model, item.evaluations, item.quality.value) for item in plot.points] == [
        ("many", 10.0, 12.0),
        ("many", 50.0, 10.0),
        ("one", 1.0, 15.0),
    ]


def swept(truncation: object, metric: str, value: float, **more: object) -> QualityRecord:
    fields: dict[str, object] = {"card": "a-32", "options": {"truncation": truncation}, **more}
    return made("a", metric, value, **fields)  # type: ignore[arg-type]


def test_a_sweep_needs_both_figures_at_two_settings() -> None:
    records = [
        *(swept(0.5, "precision", 0.9), swept(0.5, "recall", 0.2)),
        *(swept(1.0, "precision", 0.7), swept(1.0, "recall", 0.6)),
        swept(0.2, "precision", 0.99),
        *(swept(0.7, "precision", 0.8, seed=1), swept(0.7, "recall", 0.4, seed=1)),
    ]
    (curve,) = sweeps(records)
    assert curve.settings == ("0.5", "1")
    assert (curve.precision, curve.recall) == ((0.9, 0.7), (0.2, 0.6))


def test_an_option_left_to_the_model_is_a_setting_too() -> None:
    records = [
        *(swept(None, "precision", 0.7), swept(None, "recall", 0.6)),
        *(swept(2.0, "precision", 0.9), swept(2.0, "recall", 0.2)),
    ]
    assert sweeps(records)[0].settings == ("2", "default")


def test_batch_sizes_come_from_sweeps_and_single_runs() -> None:
    points = (SweptBatch(1, 9.0, 0), SweptBatch(4, 30.0, 0))
    tried = SweepFacts(points=points, ended="time", of="whole calls")
    records = [
        speed("a", 40.0, batch=8, sweep=tried),
        speed("a", 50.0, batch=16),
        speed("b", 1.0, batch=1),  # one size is no curve
        speed("a", 400.0, metric="throughput_v100_projected", tier="projected", batch=32),
    ]
    (curve,) = batch_curves(records)
    assert dict(zip(curve.batches, curve.rates, strict=True)) == {1: 9, 4: 30, 8: 40, 16: 50}


def test_two_checkpoints_are_two_points_and_two_lines() -> None:
    records: list[Record] = [
        speed("a", 5.0 / steps, card="a", options={"steps": steps}) for steps in (1, 9)
    ]
    for place, weights in enumerate(("aa", "bb")):
        for steps in (1, 9):
            of: dict[str, object] = {
                "card": "a", "checkpoint": f"{weights}.pt", "checkpoint_digest": weights * 32,
                "options": {"steps": steps}, "nfe": float(steps), "name": f"run {steps}",
            }  # fmt: skip
            records.append(made("a", "fd", 10.0 + place, **of))  # type: ignore[arg-type]
            records += [made("a", metric, 0.5 + place, **of)  # type: ignore[arg-type]
                        for metric in ("precision", "recall")]  # fmt: skip
    (plot,) = speed_plots(records)
    assert {point.model: point.quality.value for point in plot.points} == {
        "run 1, a (steps 1, aa.pt)": 10.0, "run 1, a (steps 1, bb.pt)": 11.0,
        "run 9, a (steps 9, aa.pt)": 10.0, "run 9, a (steps 9, bb.pt)": 11.0,
    }  # fmt: skip
    (plots,) = evaluation_plots(records)
    assert [(point.model, point.quality.value) for point in plots.points] == [
        ("a (aa.pt)", 10.0), ("a (aa.pt)", 10.0), ("a (bb.pt)", 11.0), ("a (bb.pt)", 11.0),
    ]  # fmt: skip
    curves = [(curve.model, curve.precision, curve.recall) for curve in sweeps(records)]
    assert curves == [("a (aa.pt)", (0.5,) * 2, (0.5,) * 2), ("a (bb.pt)", (1.5,) * 2, (1.5,) * 2)]
