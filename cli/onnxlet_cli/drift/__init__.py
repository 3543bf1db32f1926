"""Drift: whether a model's requests and answers still look like the data it was evaluated on."""
