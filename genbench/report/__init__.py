"""One HTML file from records: tables, figures, samples, provenance."""
