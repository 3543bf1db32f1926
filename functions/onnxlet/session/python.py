"""The engine in Python, for when ONNX Runtime's library is not found: its Python package, which imports numpy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from onnxlet.contract.tensors import BY_NUMPY, Tensor, pack_strings, require_few_strings, unpack_strings
from onnxlet.errors import ArtifactError, InferenceError
from onnxlet.limits import deadline
from onnxlet.session.options import ALIGNMENT_BYTES, LOGGED_SEVERITY, session_config
from onnxlet.session.watchdog import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

VERSION: str = ort.__version__

ort.set_default_logger_severity(LOGGED_SEVERITY)


def prepare() -> None:
    """Do nothing: importing this module has loaded ONNX Runtime."""


class Session:
    """One loaded ONNX graph; see `onnxlet.session`."""

    def __init__(self, data: bytes | memoryview, threads: int = 1, *, is_ort: bool = False) -> None:
        """Load a graph; see `onnxlet.session.open_session`."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if is_ort:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Weights cannot be used in place: the package copies the bytes and frees its copy (onnxruntime 1.31.1).
        for key, value in session_config(is_ort=is_ort, in_place=False).items():
            options.add_session_config_entry(key, value)
        try:
            self._session = ort.InferenceSession(bytes(data), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no other common base
            raise ArtifactError(f"onnxruntime {VERSION} cannot load the graph: {_reason(error)}") from error

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        """Run the graph; see `onnxlet.session.Session`."""
        deadline.check()
        options = ort.RunOptions() if deadline.is_set() else None
        try:
            feed = {name: _to_array(tensor) for name, tensor in inputs.items()}
            with Watched(None if options is None else partial(setattr, options, "terminate", True)):
                arrays = self._session.run(list(outputs), feed, options)
        except Exception as error:  # as above; numpy refuses shapes that are too large or have more than 64 dimensions
            deadline.check()
            raise InferenceError(f"the model cannot run on these tensors: {_reason(error)}") from error
        return [_from_array(name, array) for name, array in zip(outputs, arrays, strict=True)]


def _to_array(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.datatype.name == "BYTES":
        elements = [element.decode("utf-8", "replace") for element in unpack_strings(tensor.buffer)]
        return np.array(elements, dtype=object).reshape(tensor.shape)
    array = np.frombuffer(tensor.buffer, dtype=tensor.datatype.numpy).reshape(tensor.shape)
    return array.copy() if array.__array_interface__["data"][0] % ALIGNMENT_BYTES else array


def _from_array(name: str, array: object) -> Tensor:
    datatype = BY_NUMPY.get(array.dtype.name) if isinstance(array, np.ndarray) else None
    if not isinstance(array, np.ndarray) or datatype is None:
        raise InferenceError(
            f'output "{name}": {type(array).__name__} is not a tensor of a datatype of the V2 protocol'
        )
    if datatype.name == "BYTES":
        require_few_strings(array.size)
        return Tensor(datatype, array.shape, pack_strings(str(element).encode() for element in array.flat))
    return Tensor(datatype, array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _reason(error: Exception) -> str:
    """Return ONNX Runtime's message in one line, without its prefix of codes."""
    return " ".join(str(error).split()).rpartition("[ONNXRuntimeError] : ")[2][:500]
