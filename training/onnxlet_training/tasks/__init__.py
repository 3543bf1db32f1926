"""The tasks: what a model may be for, how it is measured then, and how it is served."""
