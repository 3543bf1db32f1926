"""onnxlet: an ONNX model behind a cloud function; this package is all that is deployed."""

__version__ = "0.1.0"
