"""Figures that others can check: a run packed into one file, and such a file verified."""
