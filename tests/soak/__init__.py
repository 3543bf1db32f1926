"""Soak: many clients of a real runtime for minutes, over everything it answers, while its models change."""

import os

# Before any room here imports ONNX Runtime: newer wheels report to Microsoft from that moment.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
