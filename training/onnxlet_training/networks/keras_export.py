"""Keras networks as ONNX graphs with named tensors and a free batch axis.

As a program (`python -m onnxlet_training.networks.keras_export model.keras model.onnx`) this module exports under
TensorFlow what another backend trained: tf2onnx reads only TensorFlow's graphs, and a process has only one backend.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras

from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_builder import OPSET
from onnxlet_training.networks.recurrent_graph import is_recurrent, recurrent_graph
from onnxlet_training.recipe import INPUT, OUTPUT


def write_onnx(keras_path: Path, path: Path) -> None:
    """Convert a `.keras` file.

    Raises:
        ModelError: the exporter failed.
    """
    model = keras.models.load_model(keras_path)
    if is_recurrent(model):
        path.write_bytes(recurrent_graph(model))
    elif keras.backend.backend() == "tensorflow":
        _write_with_tf2onnx(model, path)
    else:
        _write_under_tensorflow(keras_path, path)


def _write_with_tf2onnx(model: keras.Model, path: Path) -> None:
    """Convert a function with a signature: `tf2onnx.convert.from_keras` fails with Keras 3."""
    import tensorflow as tf
    import tf2onnx

    signature = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name=INPUT)
    function = tf.function(lambda tensor: {OUTPUT: model(tensor, training=False)}, input_signature=[signature])
    proto, _ = tf2onnx.convert.from_function(function, [signature], opset=OPSET)
    for tensor in (*proto.graph.input, *proto.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _write_under_tensorflow(keras_path: Path, path: Path) -> None:
    command = [sys.executable, "-m", "onnxlet_training.networks.keras_export", str(keras_path), str(path)]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ModelError(f"{keras_path}: the export under TensorFlow failed: {reason}")


if __name__ == "__main__":
    write_onnx(Path(sys.argv[1]), Path(sys.argv[2]))
