"""The networks: Keras and PyTorch behind one training loop."""
