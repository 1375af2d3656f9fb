"""What a model, a protocol or a table needs of published files, and bringing it."""
