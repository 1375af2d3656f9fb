"""Measurements, the protocols they follow, where they were made, and the files they are kept in."""
