"""Image sets: npz batches, folders, zips and named sets; decoding, cropping, writing."""
