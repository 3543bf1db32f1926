"""Graphs of tasks: what comes before and after a model, made from the declaration of its task."""
