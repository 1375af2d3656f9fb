"""CLIP score: how well images fit the texts that they were drawn for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.errors import GenbenchError
from genbench.metrics.estimate import Estimate, normal_mean
from genbench.metrics.evidence import Evidence
from genbench.metrics.metric import Metric
from genbench.metrics.settings import CosineSettings

if TYPE_CHECKING:
    from torch import Tensor

_SETTINGS = CosineSettings()


def clip_score(images: Tensor, texts: Tensor, *, interval: bool) -> Estimate:
    """The mean over images of 100 max(cos(image, its text), 0), 0 ... 100.

    images: embeddings float32 [N, D]; texts: float32 [M, D], image i against text i mod M, both
    from one CLIP. Hessel et al. 2021 (arXiv:2104.08718, equation 1) scale by 2.5 in place of 100;
    100 is torchmetrics' scale and that of most papers since. interval: 95%, of the mean of
    independent samples. GenbenchError for embeddings of two widths.
    """
    import torch

    from genbench.metrics.unit_length import unit_length

    if images.shape[1] != texts.shape[1]:
        raise GenbenchError(
            f"images have {images.shape[1]} features and texts {texts.shape[1]}: take both from "
            "one CLIP"
        )
    own = texts[torch.arange(len(images)) % len(texts)]
    cosines = (unit_length(images) * unit_length(own)).sum(dim=1)
    scores = _SETTINGS.scale * cosines.clamp(min=0)
    if not interval or len(scores) < 2:
        return Estimate(float(scores.mean()))
    held = "over other samples and their prompts"
    if len(images) > len(texts):
        held = "over other samples of these prompts, on the wide side"
    return normal_mean(scores, held)


def _compute(evidence: Evidence) -> Estimate:
    return clip_score(
        evidence.rows("pool"), evidence.reference_rows("pool"), interval=evidence.interval
    )


CLIP_SCORE = Metric(
    key="clip_score",
    short="CLIP score",
    title="CLIP score",
    unit="score",
    higher_is_better=True,
    layer="pool",
    compares="features",
    generic_key="clip_score",
    generic_short="CLIP score",
    generic_title="CLIP score",
    source="Hessel et al. 2021, arXiv:2104.08718, scaled by 100 as in torchmetrics",
    settings=lambda _: _SETTINGS,
    least=lambda _: 1,
    compute=_compute,
    prompted=True,
)
