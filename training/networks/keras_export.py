"""Export: a Keras network becomes an ONNX graph with named tensors and a free batch axis.

Run as a program (`python -m training.export model.keras model.onnx`) it exports under TensorFlow what another backend
trained: tf2onnx reads TensorFlow's graphs alone, and a process has one backend.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxlet.errors import ArtifactError
from training.data import Split
from training.graphs import OPSET, Graph

INPUT, OUTPUT = "input", "output"
MAX_DIFFERENCE = 1e-4
"""Between Keras's probabilities and ONNX Runtime's, on any test example; float32 rounding stays far below."""


@dataclass(frozen=True)
class Exported:
    """An ONNX graph that answers as the network does."""

    path: Path
    max_difference: float
    """The largest one found on the test split."""


def export(keras_path: Path, test: Split, expected: "np.typing.NDArray[np.float32]") -> Exported:
    """Write the ONNX graph beside the `.keras` file and hold its answers against Keras's.

    Raises:
        ArtifactError: the exporter failed, or the graph answers differently.
    """
    import keras

    path = keras_path.with_suffix(".onnx")
    if keras.backend.backend() == "tensorflow":
        write_onnx(keras_path, path)
    else:
        _write_onnx_under_tensorflow(keras_path, path)
    probabilities = Graph(path.read_bytes()).run({INPUT: test.inputs}, OUTPUT)
    max_difference = float(np.abs(probabilities - expected).max())
    if not max_difference <= MAX_DIFFERENCE:
        raise ArtifactError(f"{path}: expected Keras's answers within {MAX_DIFFERENCE}, got {max_difference:.2g} apart")
    return Exported(path, max_difference)


def write_onnx(keras_path: Path, path: Path) -> None:
    """Convert a `.keras` file; the backend must be TensorFlow.

    Source: `tf2onnx.convert.from_keras` fails with Keras 3, a function with a signature does not.
    """
    import keras
    import tensorflow as tf
    import tf2onnx

    model = keras.models.load_model(keras_path)
    signature = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name=INPUT)
    function = tf.function(lambda tensor: {OUTPUT: model(tensor, training=False)}, input_signature=[signature])
    proto, _ = tf2onnx.convert.from_function(function, [signature], opset=OPSET)
    for tensor in (*proto.graph.input, *proto.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _write_onnx_under_tensorflow(keras_path: Path, path: Path) -> None:
    command = [sys.executable, "-m", "training.export", str(keras_path), str(path)]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ArtifactError(f"{keras_path}: the export under TensorFlow failed: {reason}")


if __name__ == "__main__":
    write_onnx(Path(sys.argv[1]), Path(sys.argv[2]))
