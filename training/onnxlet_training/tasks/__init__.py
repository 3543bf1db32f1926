"""The tasks: for each purpose of a model, how it is measured and how it is served."""
