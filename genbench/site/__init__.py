"""A folder of static pages from records: tables, fronts, history, and a page for every run."""
