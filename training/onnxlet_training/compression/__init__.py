"""The compressions: three ways to make a classifier's graph smaller or faster."""
