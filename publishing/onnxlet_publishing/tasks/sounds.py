"""Graphs of sounds: from samples at any rate to the input of a model."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.contract.declarations import PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.contract.tasks.declaration import RATE, SAMPLES, Declaration
from onnxlet.contract.tasks.sounds import AudioClassification, SoundTask
from onnxlet_publishing.graph_builder import IR_VERSION, OPSET
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import GraphForm
from onnxlet_publishing.tasks.resampling import resampled

VARIANT = "fp32"

SMALLEST_VARIANCE = 1e-7
"""Added to the variance of the samples, as in transformers, so that silence stays silence."""


def build(task: Declaration, _model: OnnxFile, _preprocess: ImagePreprocess | None = None) -> list[GraphForm]:
    """Return the graph before the model that a task of sounds needs."""
    assert isinstance(task, SoundTask), "the module is that of the family of sounds"
    return [GraphForm("preprocess", VARIANT, preprocess_graph(task))]


def preprocess_graph(task: SoundTask) -> bytes:
    """Return the graph from a sound, FP32 (samples,) and its rate, INT64 (1,), to the model's input, FP32 (1, samples).

    Source: transformers, `Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm`: zeros are added after normalizing.
    """
    nodes = resampled(SAMPLES, RATE, task.sampling_rate, "resampled")
    last, shape = "resampled", ["samples"]
    constants = {"batch": np.array([0], np.int64)}
    if isinstance(task, AudioClassification) and task.normalizes:
        constants["smallest"] = np.array(SMALLEST_VARIANCE, np.float32)
        nodes += [
            helper.make_node("ReduceMean", [last], ["mean"], keepdims=1),
            helper.make_node("Sub", [last, "mean"], ["centred"]),
            helper.make_node("Mul", ["centred", "centred"], ["squares"]),
            helper.make_node("ReduceMean", ["squares"], ["variance"], keepdims=1),
            helper.make_node("Add", ["variance", "smallest"], ["more"]),
            helper.make_node("Sqrt", ["more"], ["deviation"]),
            helper.make_node("Div", ["centred", "deviation"], ["normalized"]),
        ]
        last = "normalized"
    if isinstance(task, AudioClassification) and task.length is not None:
        constants |= {"length": np.array([task.length], np.int64), "zero": np.array([0], np.int64)}
        nodes += [
            helper.make_node("Shape", [last], ["count"]),
            helper.make_node("Sub", ["length", "count"], ["missing"]),
            helper.make_node("Max", ["missing", "zero"], ["added"]),
            helper.make_node("Concat", ["zero", "added"], ["pads"], axis=0),
            helper.make_node("Pad", [last, "pads"], ["padded"]),
            helper.make_node("Slice", ["padded", "zero", "length"], ["cut"]),  # a resampler may round up
        ]
        last = "cut"
    nodes.append(helper.make_node("Unsqueeze", [last, "batch"], [PREPROCESS_OUTPUT]))
    graph = helper.make_graph(
        nodes,
        "preprocess",
        [
            helper.make_tensor_value_info(SAMPLES, TensorProto.FLOAT, shape),
            helper.make_tensor_value_info(RATE, TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info(PREPROCESS_OUTPUT, TensorProto.FLOAT, [1, "resampled_samples"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
