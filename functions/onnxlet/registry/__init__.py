"""From a name and an alias or a version to a manifest and to verified artifacts."""
