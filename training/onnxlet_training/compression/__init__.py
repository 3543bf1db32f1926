"""The compressions: ways to make a classifier's graph smaller or faster."""
