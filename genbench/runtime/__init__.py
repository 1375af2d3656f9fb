"""Processes, shards, resumable work, files, digests and progress."""
