"""AuthPct, copies, C_T, FLD and FLS: whether samples repeat the training images, as metrics.

The reference is the held-out set of those that need one: real images that the model has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from genbench.metrics.estimate import Estimate
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.settings import (
    CellSettings,
    LikelihoodSettings,
    MetricSettings,
    NearestSettings,
)

if TYPE_CHECKING:
    from genbench.metrics.feature_likelihood import Sets

_COPIES = 0.01  # share of held-out images that are nearer to a training image than the limit
_CELLS = CellSettings()  # of dgm-eval and the fld package
_LIKELIHOOD = LikelihoodSettings()  # of both packages
_TEST = "Meehan et al. 2020, arXiv:2004.05675; constants of dgm-eval; far below 0: copies"
_DIVERGENCE = "Jiralerspong et al. 2023, arXiv:2302.04440, as in the fld package"
_SCORE = "Jiralerspong et al. 2023, arXiv:2302.04440, the first version, as in dgm-eval"


def _metric(
    key: str, short: str, title: str, unit: str, source: str, settings: MetricSettings,
    compute: Callable[[Evidence], Estimate], *, least: int, higher_is_better: bool = True,
    compares: Literal["nothing", "features"] = "features", training: bool = True,
) -> Metric:  # fmt: skip
    return Metric(
        key=key,
        short=short,
        title=title,
        unit=unit,
        higher_is_better=higher_is_better,
        layer="pool",
        compares=compares,
        generic_key=key,
        generic_short=short,
        generic_title=title,
        source=source,
        settings=lambda _: settings,
        least=lambda _: least,
        compute=compute,
        training=training,
    )


def _authentic(evidence: Evidence) -> Estimate:
    from genbench.metrics.copies import authentic_percent
    from genbench.metrics.nearest import nearest_other

    training = evidence.training_rows("pool")
    own, _ = evidence.searched(lambda device: nearest_other(training, device=device))
    return authentic_percent(evidence.nearest_training(), own, interval=evidence.interval)


def _copies(evidence: Evidence) -> Estimate:
    from genbench.metrics.copies import copied_share
    from genbench.metrics.nearest import nearest_in

    reference, training = evidence.reference_rows("pool"), evidence.training_rows("pool")
    held_out, _ = evidence.searched(lambda device: nearest_in(reference, training, device=device))
    samples, _ = evidence.nearest_training()
    return copied_share(samples, held_out, share=_COPIES, interval=evidence.interval)


def _ct(evidence: Evidence) -> Estimate:
    from genbench.metrics.data_copying import ct_score

    training, held_out = evidence.training_rows("pool"), evidence.reference_rows("pool")
    return ct_score(training, held_out, evidence.rows("pool"), _CELLS)


def _ct_modified(evidence: Evidence) -> Estimate:
    from genbench.metrics.data_copying import ct_score

    training, held_out = evidence.training_rows("pool"), evidence.reference_rows("pool")
    return ct_score(evidence.rows("pool"), held_out, training, _CELLS)


def _ct_test(evidence: Evidence) -> Estimate:
    from genbench.metrics.data_copying import ct_score

    held_out = evidence.reference_rows("pool")
    half = (len(held_out) + 1) // 2
    return ct_score(held_out[:half], held_out[half:], evidence.rows("pool"), _CELLS)


def _sets(evidence: Evidence) -> Sets:
    from genbench.metrics.feature_likelihood import Sets

    return Sets(
        evidence.training_rows("pool"), evidence.reference_rows("pool"), evidence.rows("pool")
    )


def _fld(evidence: Evidence) -> Estimate:
    from genbench.metrics.feature_likelihood import divergence

    return divergence(_sets(evidence), _LIKELIHOOD)


def _fld_train(evidence: Evidence) -> Estimate:
    from genbench.metrics.feature_likelihood import divergence

    return divergence(_sets(evidence), _LIKELIHOOD, of="training")


def _fld_gap(evidence: Evidence) -> Estimate:
    from genbench.metrics.feature_likelihood import generalisation_gap

    return generalisation_gap(_sets(evidence), _LIKELIHOOD)


def _fld_precision(evidence: Evidence) -> Estimate:
    from genbench.metrics.feature_likelihood import precision_divergence

    return precision_divergence(_sets(evidence), _LIKELIHOOD)


def _fls(evidence: Evidence) -> Estimate:
    from genbench.metrics.feature_likelihood import score, score_sets

    return score(*score_sets(_sets(evidence), _LIKELIHOOD))


def _fls_overfit(evidence: Evidence) -> Estimate:
    from genbench.metrics.feature_likelihood import overfit_percent, score_sets

    return overfit_percent(*score_sets(_sets(evidence), _LIKELIHOOD))


MEMORISATION: tuple[Metric, ...] = (
    _metric("authpct", "AuthPct", "Authentic samples", "percent",
            "Alaa et al. 2022, arXiv:2102.08921, as in dgm-eval", NearestSettings(), _authentic,
            least=2, compares="nothing"),
    _metric("copies", "Copies", "Copies of training images", "fraction",
            "genbench (docs/memorisation.md)", NearestSettings(share=_COPIES), _copies,
            least=100, higher_is_better=False),
    _metric("ct", "C_T", "Data-copying test", "z-score", _TEST, _CELLS, _ct, least=21),
    _metric("ct_modified", "C_T modified", "Data-copying test, training images and samples swapped",
            "z-score", _TEST, _CELLS, _ct_modified, least=21),
    _metric("ct_test", "C_T test", "Data-copying test, half of the reference as training images",
            "z-score", _TEST, _CELLS, _ct_test, least=21, training=False),
    _metric("fld", "FLD", "Feature likelihood divergence", "hundredths of a nat a dimension",
            _DIVERGENCE, _LIKELIHOOD, _fld, least=4, higher_is_better=False),
    _metric("fld_train", "FLD train", "Feature likelihood divergence of training images",
            "hundredths of a nat a dimension", _DIVERGENCE, _LIKELIHOOD, _fld_train, least=4,
            higher_is_better=False),
    _metric("fld_gap", "FLD gap", "FLD of training images less FLD",
            "hundredths of a nat a dimension", _DIVERGENCE, _LIKELIHOOD, _fld_gap, least=4),
    _metric("fld_p", "FLD-P", "Feature likelihood divergence of samples",
            "hundredths of a nat a dimension", _DIVERGENCE, _LIKELIHOOD, _fld_precision, least=4,
            higher_is_better=False),
    _metric("fls", "FLS", "Feature likelihood score", "percent", _SCORE, _LIKELIHOOD, _fls,
            least=4),
    _metric("fls_overfit", "FLS overfit", "Share of overfitted Gaussians, less 50", "percent",
            _SCORE, _LIKELIHOOD, _fls_overfit, least=4, higher_is_better=False),
)  # fmt: skip
