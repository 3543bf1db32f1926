"""The translators between a cloud's own requests and events, and onnxlet's."""
