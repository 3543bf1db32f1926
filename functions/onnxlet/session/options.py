"""How every session is set up, whichever engine opens it.

Source: onnxruntime, `onnxruntime_session_options_config_keys.h`.
"""

LOGGED_SEVERITY = 4
"""Fatal only: what matters comes back as an error."""

ALIGNMENT_BYTES = 16
"""What numpy allocates at. Kernels take elements one by one up to such an address and in vectors from there, so that
elsewhere sums are added in another order and end in other digits: the bytes of a binary request begin wherever its JSON
ends, and that must not change the answer."""

NO_FOLDER = "/dev/null"
"""Where no file can lie."""


def session_config(*, is_ort: bool, in_place: bool) -> dict[str, str]:
    """The configuration entries of a session.

    Args:
        is_ort: Whether its graph is in ONNX Runtime's own format.
        in_place: Whether the weights of such a graph are used where they lie, and never copied.
    """
    config = {
        # A spinning thread burns the CPU quota that the next request needs.
        "session.intra_op.allow_spinning": "0",
        # Where there are several threads, all of them lay the matrices out that are multiplied with.
        "session.prepack.enable_parallel": "1",
        # A graph has its weights inside, or none: a file beside it would be looked for in the function's own folder.
        "session.model_external_initializers_file_folder_path": NO_FOLDER,
    }
    if is_ort:
        config["session.load_model_format"] = "ORT"
    if is_ort and in_place:
        config["session.use_ort_model_bytes_directly"] = "1"
        config["session.use_ort_model_bytes_for_initializers"] = "1"
    return config
