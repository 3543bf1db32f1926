"""The `onnxlet` command: a thin face over the functions, the training job and the registry."""
