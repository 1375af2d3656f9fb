"""Checkpoints of a training, measured as they appear."""
