"""Publishing: an ONNX file and its declarations pass the publish gate and become a version in the registry."""
