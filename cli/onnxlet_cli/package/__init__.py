"""The zip of the functions that a cloud deploys; build.py lists the steps that make it."""
