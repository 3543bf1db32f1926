"""Baselines that onnxlet is compared with: small programs and handlers, as short as those that people deploy."""
