"""Speed: timing, batch sweeps, datasheets, and another GPU's seconds in tiers."""
