"""The drift: whether what a model is asked and answers still is what it was evaluated on."""
