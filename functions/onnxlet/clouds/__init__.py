"""The translators between each cloud's requests and events and those of onnxlet."""
