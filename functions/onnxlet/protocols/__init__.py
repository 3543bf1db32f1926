"""The documents of each protocol: payloads, V1, V2, Triton and generation."""
