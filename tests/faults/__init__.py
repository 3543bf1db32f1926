"""Faults: a store that fails in all ways that it can, under all that is done with it, and the laws that still hold."""

import os

# Before any room here imports ONNX Runtime: newer wheels report to Microsoft from that moment.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
