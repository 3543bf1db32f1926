"""The package: the zip of the functions that a cloud takes; build.py is its table of contents."""
