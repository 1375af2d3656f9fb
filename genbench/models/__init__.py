"""Models: the adapter contract, the registry, noise, opening, and the checks for authors."""
