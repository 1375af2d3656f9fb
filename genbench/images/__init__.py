"""Image sets: npz batches, folders, zips and named sets; decoding, cropping, writing."""

from genbench.images.opening import open_image_set

__all__ = ["open_image_set"]
