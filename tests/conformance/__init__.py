"""Conformance: ONNX's own node tests, asked of the functions over HTTP, against ONNX Runtime in process."""

import os

# Before any room here imports ONNX Runtime: newer wheels report to Microsoft from that moment.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
