"""Registry: from a name with an alias or a version to a manifest, and from there to verified artifacts."""
