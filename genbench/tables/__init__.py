"""Specs, published numbers and records become one table, and that its formats."""
