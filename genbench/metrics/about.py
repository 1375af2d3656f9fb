"""What each metric is, in a sentence or two, for `genbench ls metrics NAME`."""

from __future__ import annotations

ABOUT: dict[str, str] = {
    "fid": "|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) of Gaussians fitted to the features; too "
    "high with few samples",
    "sfid": "the same on spatial features (7 channels of mixed_6/conv, 17 x 17)",
    "is": "exp of the mean KL divergence of class probabilities from their mean; sees no reference",
    "kid": "unbiased squared MMD with the kernel (x.y / D + 1)^3, the mean over random subsets; "
    "may be slightly negative",
    "precision": "share of samples inside a ball around a reference image that reaches to its "
    "k-th neighbour",
    "recall": "share of reference images inside such a ball around a sample",
    "density": "balls of reference images around a sample, over k; may exceed 1",
    "coverage": "share of reference images with a sample in their ball",
    "fid_infinity": "the distance of growing subsets against 1/n, read at 0: the bias of a finite "
    "count of samples is taken off, that of the reference stays; wants many more samples than "
    "features",
    "mind": "mean over random directions of the squared Wasserstein distance of the projections",
    "sw": "the sliced Wasserstein distance as dgm-eval approximates it, from means and spreads",
    "cmmd": "biased squared MMD with a Gaussian kernel of width 10, times 1,000, of features of "
    "unit length; CMMD by CLIP, elsewhere a Gaussian MMD",
    "vendi": "exp of the entropy of the eigenvalues of the samples' similarities: the effective "
    "number of different samples; sees no reference",
    "class_vendi": "the mean of the Vendi score within each class",
    "class_fid": "the mean over classes of the distance within each class",
    "clipped_density": "density with radii cut at their median and each sample's count at k, "
    "scaled so that real images have 1",
    "clipped_coverage": "coverage that counts up to k samples a ball, calibrated so that a share "
    "of bad samples lowers it by that share",
    "p_precision": "precision with a probability of belonging to the reference's support that "
    "falls with distance, in place of a ball",
    "p_recall": "the same with samples and reference exchanged",
    "authpct": "per cent of samples further from their nearest training image than that one is "
    "from its own nearest other; low means copies",
    "copies": "share of samples nearer to a training image than all but 1% of the held-out images "
    "(the reference) are; 0.01 is expected of a model that copies nothing",
    "ct": "z-score of the samples' distances to training images against those of held-out images, "
    "in cells of feature space: far below 0 means copies",
    "ct_modified": "the same with training images and samples exchanged",
    "ct_test": "the same of one half of the held-out images against the other: what 0 looks like",
    "fld": "how much less likely held-out images are under Gaussians around the samples, fitted "
    "to the training images, than under a baseline; huge where samples are training images",
    "fld_train": "the same likelihood for training images in place of held-out ones",
    "fld_gap": "FLD of training images less FLD of held-out ones: far below 0 where training "
    "images were learned by heart",
    "fld_p": "FLD with the parts exchanged: samples under Gaussians around held-out images",
    "fls": "the same likelihood as dgm-eval scales it: near 100 for new and good samples, near 0 "
    "for copies",
    "fls_overfit": "per cent of samples whose Gaussian makes training images likelier than "
    "held-out ones, less 50",
    "representative": "the Fréchet distance of the samples to real images over that of as many "
    "other real images: 1 is as near as real images are",
    "clip_score": "mean of 100 max(cos, 0) of each image and its prompt, by the CLIP of --clip "
    "(Hessel et al. 2021 scale by 2.5); needs --prompts",
}
