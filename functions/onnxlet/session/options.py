"""How every session is set up, whichever engine opens it.

Source: onnxruntime, `onnxruntime_session_options_config_keys.h`.
"""

LOGGED_SEVERITY = 4
"""Fatal only: what matters comes back as an error."""

ALIGNMENT_BYTES = 16
"""What numpy allocates at. Kernels take elements one by one up to such an address and in vectors from there, so that
elsewhere sums are added in another order and end in other digits: the bytes of a binary request begin wherever its JSON
ends, and that must not change the answer."""


def session_config(*, is_ort: bool) -> dict[str, str]:
    """The configuration entries of a session.

    Args:
        is_ort: Whether its file is in ONNX Runtime's own format: then the weights are used where they lie in the file,
            mapped into memory, and never copied.
    """
    # A spinning thread burns the CPU quota that the next request needs.
    config = {"session.intra_op.allow_spinning": "0"}
    if is_ort:
        config |= {
            "session.load_model_format": "ORT",
            "session.use_memory_mapped_ort_model": "1",
            "session.use_ort_model_bytes_for_initializers": "1",
        }
    return config
