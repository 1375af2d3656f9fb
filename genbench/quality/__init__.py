"""Quality: samples and a reference in, figures out."""
