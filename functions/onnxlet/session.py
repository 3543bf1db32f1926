"""The ONNX Runtime session: the only room that knows how ONNX Runtime is called."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

# Wheels from 1.29 on report to Microsoft by default, from the moment of the import (onnxruntime PR #27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort

from onnxlet.contract.tensors import BY_NUMPY, Tensor, pack_strings, unpack_strings
from onnxlet.errors import ArtifactError, InferenceError

if TYPE_CHECKING:
    import numpy.typing as npt

ort.set_default_logger_severity(4)  # fatal only: what matters comes back as an exception

ALIGNMENT_BYTES = 16
"""What numpy allocates at. Kernels take elements one by one up to such an address and in vectors from there, so that
elsewhere sums are added in another order and end in other digits."""


class Session:
    """One loaded ONNX graph."""

    def __init__(self, path: str, threads: int = 1) -> None:
        """Load the graph at `path`.

        Raises:
            ArtifactError: ONNX Runtime does not load it; the text says why.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning thread burns the CPU quota that the next request needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            raise ArtifactError(f"onnxruntime {ort.__version__} cannot load the graph: {_reason(error)}") from error

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        """Run the graph on checked tensors.

        Returns:
            The tensors named by `outputs`, in that order.

        Raises:
            InferenceError: ONNX Runtime gave up on these tensors.
        """
        try:
            feed = {name: _to_array(tensor) for name, tensor in inputs.items()}
            arrays = self._session.run(list(outputs), feed)
        except Exception as error:  # as above; numpy refuses shapes of more than 64 dimensions, or too large ones
            raise InferenceError(f"the model cannot run on these tensors: {_reason(error)}") from error
        return [_from_array(array) for array in arrays]


def _to_array(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.datatype.name == "BYTES":
        elements = [element.decode("utf-8", "replace") for element in unpack_strings(tensor.buffer)]
        return np.array(elements, dtype=object).reshape(tensor.shape)
    array = np.frombuffer(tensor.buffer, dtype=tensor.datatype.numpy).reshape(tensor.shape)
    # The bytes of a binary request begin wherever its JSON ends, and that must not change the answer.
    return array.copy() if array.__array_interface__["data"][0] % ALIGNMENT_BYTES else array


def _from_array(array: npt.NDArray[Any]) -> Tensor:
    datatype = BY_NUMPY[array.dtype.name]
    if datatype.name == "BYTES":
        return Tensor(datatype, array.shape, pack_strings(str(element).encode() for element in array.flat))
    return Tensor(datatype, array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _reason(error: Exception) -> str:
    """ONNX Runtime's message in one line, without its prefix of codes."""
    return " ".join(str(error).split()).rpartition("[ONNXRuntimeError] : ")[2][:500]
