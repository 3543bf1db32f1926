"""Loaded versions and their graphs: the cache, live updates, batches."""
