"""Detectors: networks that turn images into features."""
