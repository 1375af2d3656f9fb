"""Every preprocessing that a published protocol uses, by name, with the code that defines it.

The names are those of the codes; where two codes do the same, both names stand and are equal. The
commits are those that tests/parity/README.md names.
"""

from __future__ import annotations

from collections.abc import Iterable

from genbench.detectors.preprocessing import (
    CLIP_DEVIATION,
    CLIP_MEAN,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    Preprocessing,
    Resize,
    Triple,
)
from genbench.errors import UsageError, suggestion

TENSORFLOW = Resize(library="TensorFlow 1", filter="bilinear", antialias=False)
BILINEAR = Resize(library="torch", filter="bilinear", antialias=False)
BILINEAR_ANTIALIAS = Resize(library="torch", filter="bilinear", antialias=True)
BICUBIC_UNCLIPPED = Resize(library="torch", filter="bicubic", antialias=True)
CLEAN = Resize(library="Pillow", filter="bicubic", antialias=True, clipped=True)
QUANTISED = Resize(library="Pillow", filter="bicubic", antialias=True, rounded=True)
_PILLOW_BILINEAR = Resize(library="Pillow", filter="bilinear", antialias=True)
_PILLOW_BICUBIC = Resize(library="Pillow", filter="bicubic", antialias=True)
_PILLOW_LANCZOS = Resize(library="Pillow", filter="lanczos", antialias=True)


def _alike(value: float) -> Triple:
    return (value, value, value)


def _signed(name: str, resize: Resize, source: str, *, size: int = 299) -> Preprocessing:
    """(x - 128) / 128, as the TensorFlow graph of Inception does."""
    return Preprocessing(
        name=name, size=size, resize=resize, divisor=1.0, mean=_alike(128.0),
        deviation=_alike(128.0), source=source,
    )  # fmt: skip


def _symmetric(name: str, resize: Resize, source: str) -> Preprocessing:
    """2x - 1 of x in 0..1, as torch ports of Inception do."""
    return Preprocessing(
        name=name, size=299, resize=resize, mean=_alike(0.5), deviation=_alike(0.5), source=source
    )


def _imagenet(name: str, resize: Resize, source: str, *, size: int = 224) -> Preprocessing:
    return Preprocessing(
        name=name, size=size, resize=resize, mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION,
        source=source,
    )  # fmt: skip


def openai_clip(size: int) -> Preprocessing:
    """What OpenAI's CLIP does for a network of `size` pixels, its own preprocessing."""
    return Preprocessing(
        name=f"openai_clip_{size}", size=size, resize=QUANTISED, crop="after", mean=CLIP_MEAN,
        deviation=CLIP_DEVIATION, source="openai/CLIP clip/clip.py _transform",
    )  # fmt: skip


def _clip(name: str, resize: Resize, source: str) -> Preprocessing:
    return Preprocessing(
        name=name, size=224, resize=resize, mean=CLIP_MEAN, deviation=CLIP_DEVIATION, source=source
    )


def _cmmd(name: str, source: str) -> Preprocessing:
    return Preprocessing(
        name=name, size=336, resize=QUANTISED, crop="before", mean=CLIP_MEAN,
        deviation=CLIP_DEVIATION, source=source,
    )  # fmt: skip


def _in_levels(name: str, mean: Triple, deviation: Triple, size: int) -> Preprocessing:
    """torch-fidelity's scaling of CLIP, DINOv2 and VGG16: of levels 0..255, not of 0..1."""
    return Preprocessing(
        name=name, size=size, resize=TENSORFLOW, divisor=1.0,
        mean=(255 * mean[0], 255 * mean[1], 255 * mean[2]),
        deviation=(255 * deviation[0], 255 * deviation[1], 255 * deviation[2]),
        source="toshas/torch-fidelity feature_extractor_{vgg16,clip,dinov2}.py forward",
    )  # fmt: skip


_STUDIOGAN = "PyTorch-StudioGAN src/utils/resize.py:50,72; src/utils/ops.py:258"
_CLIP_SIZES = (224, 288, 336, 384, 448)

TORCH_FIDELITY = _signed(
    "torch_fidelity", TENSORFLOW, "toshas/torch-fidelity interpolate_compat_tensorflow.py:115"
)
TORCH_FIDELITY_224 = _in_levels("torch_fidelity_224", IMAGENET_MEAN, IMAGENET_DEVIATION, 224)
DGM_DINOV2 = _imagenet("dgm_dinov2", QUANTISED, "layer6ai-labs/dgm-eval models/dinov2.py:46")
# EfficientNet-Lite0's own scaling, behind the resizes of others: what a resize does, offline.
LITE0_ANTIALIAS, *_LITE0_OTHERS = (
    Preprocessing(
        name=f"lite0_{name}", size=96, resize=resize, divisor=1.0, mean=_alike(127.0),
        deviation=_alike(128.0),
        source="tensorflow/tpu efficientnet/lite/efficientnet_lite_builder.py MEAN_RGB, STDDEV_RGB",
    )
    for name, resize in (
        ("antialias", BILINEAR_ANTIALIAS), ("bilinear", BILINEAR), ("tf1", TENSORFLOW),
        ("clean", CLEAN), ("quantised", QUANTISED), ("unclipped", BICUBIC_UNCLIPPED),
        ("pillow_bicubic", _PILLOW_BICUBIC), ("pillow_bilinear", _PILLOW_BILINEAR),
        ("pillow_lanczos", _PILLOW_LANCZOS),
    )
)  # fmt: skip

PREPROCESSINGS = {
    item.name: item
    for item in (
        TORCH_FIDELITY,
        _signed("cleanfid_clean", CLEAN, "GaParmar/clean-fid cleanfid/resize.py:29"),
        _symmetric("cleanfid_legacy_pytorch", BILINEAR, "GaParmar/clean-fid cleanfid/resize.py:52"),
        Preprocessing(
            name="cleanfid_make_resizer_PIL_quantized_bicubic", size=299, resize=QUANTISED,
            divisor=1.0, mean=_alike(0.0), deviation=_alike(1.0),
            source="GaParmar/clean-fid cleanfid/resize.py:29",
        ),
        _symmetric("pytorch_fid", BILINEAR, "mseitzer/pytorch-fid inception.py:148"),
        _symmetric("dgm_inception", BILINEAR, "layer6ai-labs/dgm-eval models/inception.py:412"),
        _symmetric(
            "dgm_inception_clean_resize", CLEAN, "layer6ai-labs/dgm-eval models/inception.py:179"
        ),
        _symmetric("studiogan_InceptionV3_tf_legacy", BILINEAR, _STUDIOGAN),
        _symmetric("studiogan_InceptionV3_tf_clean", _PILLOW_BICUBIC, _STUDIOGAN),
        _symmetric("studiogan_InceptionV3_tf_friendly", _PILLOW_BILINEAR, _STUDIOGAN),
        _imagenet("studiogan_InceptionV3_torch_friendly", _PILLOW_LANCZOS, _STUDIOGAN, size=299),
        _signed(
            "torchmetrics_antialias", BILINEAR_ANTIALIAS,
            "Lightning-AI/torchmetrics src/torchmetrics/image/fid.py:72",
        ),
        _signed(
            "torchmetrics_no_antialias", TENSORFLOW,
            "Lightning-AI/torchmetrics src/torchmetrics/image/fid.py:72",
        ),
        DGM_DINOV2,
        _imagenet("dgm_dinov2_clean_resize", CLEAN, "layer6ai-labs/dgm-eval models/dinov2.py:46"),
        _imagenet("edm2_dinov2_torch", BICUBIC_UNCLIPPED, "NVlabs/edm2 calculate_metrics.py:62"),
        _imagenet("edm2_dinov2_pil", QUANTISED, "NVlabs/edm2 calculate_metrics.py:62"),
        _clip("dgm_clip", QUANTISED, "layer6ai-labs/dgm-eval models/clip.py:28"),
        _clip("dgm_clip_clean_resize", CLEAN, "layer6ai-labs/dgm-eval models/clip.py:28"),
        Preprocessing(
            name="dgm_clip_int_size", size=224, resize=QUANTISED, crop="after", mean=CLIP_MEAN,
            deviation=CLIP_DEVIATION, source="layer6ai-labs/dgm-eval models/clip.py:28",
        ),
        *(openai_clip(size) for size in _CLIP_SIZES),
        _cmmd("cmmd_google", "google-research cmmd/io_util.py _center_crop_and_resize"),
        _cmmd("cmmd_pytorch_port", "sayakpaul/cmmd-pytorch io_util.py, embedding.py"),
        _imagenet("studiogan_SwAV_torch_friendly", _PILLOW_BILINEAR, _STUDIOGAN),
        _imagenet("studiogan_SwinT_torch_friendly", _PILLOW_BICUBIC, _STUDIOGAN),
        TORCH_FIDELITY_224,
        *(
            _in_levels(f"torch_fidelity_clip_{size}", CLIP_MEAN, CLIP_DEVIATION, size)
            for size in _CLIP_SIZES
        ),
        LITE0_ANTIALIAS,
        *_LITE0_OTHERS,
    )
}  # fmt: skip


def find_preprocessing(name: str) -> Preprocessing:
    """The preprocessing of that name. Raises UsageError with the nearest for an unknown one."""
    if name not in PREPROCESSINGS:
        raise UsageError(f"no preprocessing is named {name}; {suggestion(name, PREPROCESSINGS)}")
    return PREPROCESSINGS[name]


def resized_alike(name: str, taken: Iterable[str]) -> str:
    """Of the names `taken`, the first that resizes as `name` does, whatever its size and scaling;
    empty for none. So a detector stands in for another, and only the crop of images that are not
    square is lost. Raises UsageError for an unknown name."""
    wanted = find_preprocessing(name).resize
    return next((other for other in taken if find_preprocessing(other).resize == wanted), "")


def names_of_size(size: int) -> tuple[str, ...]:
    """The preprocessings that end in `size` pixels as a network takes them, scaled."""
    return tuple(
        name for name, item in PREPROCESSINGS.items() if item.size == size and item.normalised
    )
