"""From an ONNX file and what comes with it, through the publish gate, to a version in the registry."""
