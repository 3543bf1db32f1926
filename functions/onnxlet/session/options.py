"""The options of every session, for both engines.

Source: onnxruntime, `onnxruntime_session_options_config_keys.h`.
"""

LOGGED_SEVERITY = 4
"""The severity from which ONNX Runtime logs: only fatal messages, since other errors are returned."""

ALIGNMENT_BYTES = 16
"""The alignment of input buffers, which is that of numpy's allocations.

Kernels process single elements up to an aligned address and vectors after it. With another alignment they add in
another order, and the last digits of sums differ. The tensors of a binary request begin wherever its JSON ends, and
that must not change the answer.
"""

NO_FOLDER = "/dev/null"
"""A path in which no file can exist."""


def session_config(*, is_ort: bool, in_place: bool) -> dict[str, str]:
    """Return the configuration entries of a session.

    Args:
        is_ort: Whether the graph is in ONNX Runtime's own format.
        in_place: Whether the weights of such a graph are used in the graph's bytes and never copied.
    """
    config = {
        # A spinning thread uses up the CPU quota that the next request needs.
        "session.intra_op.allow_spinning": "0",
        # With several threads, all of them prepack the weights of matrix multiplications.
        "session.prepack.enable_parallel": "1",
        # External weights are never read: ONNX Runtime would look for their file in the function's own folder.
        "session.model_external_initializers_file_folder_path": NO_FOLDER,
    }
    if is_ort:
        config["session.load_model_format"] = "ORT"
    if is_ort and in_place:
        config["session.use_ort_model_bytes_directly"] = "1"
        config["session.use_ort_model_bytes_for_initializers"] = "1"
    return config
