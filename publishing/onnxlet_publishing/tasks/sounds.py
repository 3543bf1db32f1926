"""Graphs of sounds: from samples at any rate to the input of a model."""

from onnx import TensorProto

from onnxlet.contract.declarations import PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.contract.tasks.declaration import OUTPUT, RATE, SAMPLES, Declaration
from onnxlet.contract.tasks.sounds import TOKENS, SoundTask, SpeechRecognition, WholeSound
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_builder import GraphBuilder, Tensors
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.optimize import MAIN_VARIANT, GraphForm
from onnxlet_publishing.tasks.resampling import resampled

SMALLEST_VARIANCE = 1e-7
"""Added to the variance of the samples, as in transformers, so that silence stays silence."""


def build(task: Declaration, model: OnnxFile, _preprocess: ImagePreprocess | None = None) -> list[GraphForm]:
    """Return the graphs before and after the model that a task of sounds needs.

    Raises:
        ModelError: The output does not have the scores of a character for each frame.
    """
    assert isinstance(task, SoundTask), "the module is that of the family of sounds"
    graphs = [GraphForm("preprocess", MAIN_VARIANT, preprocess_graph(task))]
    if isinstance(task, SpeechRecognition):
        (spec,) = (spec for spec in model.outputs if spec.name == task.output)
        graphs.append(GraphForm("postprocess", MAIN_VARIANT, ctc_graph(task, spec)))
    return graphs


def ctc_graph(task: SpeechRecognition, scores: TensorSpec) -> bytes:
    """Return the graph from the scores of one sound's frames to its characters, each of them once.

    The best class of each frame counts, unless it is blank or that of the frame before.

    Raises:
        ModelError: The output has another rank or number of classes.
    """
    classes = len(task.vocabulary)
    shape = scores.shape or ()
    if len(shape) != 3 or not (isinstance(shape[2], str) or shape[2] == classes):
        raise ModelError(
            f'output "{scores.name}": expected scores (batch, frames, {classes}) for {classes} characters, got {scores}'
        )
    graph = GraphBuilder()
    numbers = graph.add("Cast", OUTPUT.format(0), to=TensorProto.FLOAT)
    best = graph.add("Reshape", graph.add("ArgMax", numbers, axis=2, keepdims=0), graph.integers(-1))
    before = graph.add("Concat", graph.integers(-1), best, axis=0)
    before = graph.add("Slice", before, graph.integers(0), graph.integers(-1))
    is_new = graph.add("Not", graph.add("Equal", best, before))
    is_character = graph.add("Not", graph.add("Equal", best, graph.integers(task.blank)))
    graph.add("Compress", best, graph.add("And", is_new, is_character), result=TOKENS, axis=0)
    inputs: Tensors = {OUTPUT.format(0): (scores.datatype.onnx, [1, "frames", classes])}
    return graph.to_bytes("ctc", inputs, {TOKENS: (TensorProto.INT64, ["characters"])})


def preprocess_graph(task: SoundTask) -> bytes:
    """Return the graph from a sound, FP32 (samples,) and its rate, INT64 (1,), to the model's input, FP32 (1, samples).

    Source: transformers, `Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm`: zeros are added after normalizing.
    """
    graph = GraphBuilder()
    last = resampled(graph, SAMPLES, RATE, task.sampling_rate)
    if isinstance(task, WholeSound) and task.normalizes:
        last = _normalized(graph, last)
    if isinstance(task, WholeSound) and task.length is not None:
        last = _of_length(graph, last, task.length)
    graph.add("Unsqueeze", last, graph.integers(0), result=PREPROCESS_OUTPUT)
    inputs: Tensors = {SAMPLES: (TensorProto.FLOAT, ["samples"]), RATE: (TensorProto.INT64, [1])}
    return graph.to_bytes("preprocess", inputs, {PREPROCESS_OUTPUT: (TensorProto.FLOAT, [1, "resampled_samples"])})


def _normalized(graph: GraphBuilder, samples: str) -> str:
    """Add what gives samples the mean 0 and the variance 1."""
    centred = graph.add("Sub", samples, graph.add("ReduceMean", samples, keepdims=1))
    variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), keepdims=1)
    deviation = graph.add("Sqrt", graph.add("Add", variance, graph.constant(SMALLEST_VARIANCE)))
    return graph.add("Div", centred, deviation)


def _of_length(graph: GraphBuilder, samples: str, length: int) -> str:
    """Add what fills samples up with zeros to a length, or cuts the one that a resampler may have rounded up."""
    zero, wanted = graph.integers(0), graph.integers(length)
    missing = graph.add("Max", graph.add("Sub", wanted, graph.add("Shape", samples)), zero)
    padded = graph.add("Pad", samples, graph.add("Concat", zero, missing, axis=0))
    return graph.add("Slice", padded, zero, wanted)
