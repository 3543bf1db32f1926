"""Compress: make a classifier's graph smaller with eight-bit numbers, fewer weights, or a small student."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from onnxlet_publishing.graphs import Graph
from onnxlet_training.compare import Variant, compare, measure_original
from onnxlet_training.compression.distill import distill
from onnxlet_training.compression.prune import prune
from onnxlet_training.compression.quantize import quantize
from onnxlet_training.networks.feed import Feed
from onnxlet_training.networks.keras_export import write_onnx
from onnxlet_training.networks.keras_network import FittedKeras, KerasNetwork
from onnxlet_training.recipe import INPUT, OUTPUT, Array, Dataset, Fitted, Options, Recipe
from onnxlet_training.tasks.classification import ClassificationTask

CALIBRATION_EXAMPLES = 256
STUDENT_EPOCHS = 2.0
"""The student's epochs as a multiple of the recipe's: a small network learns more slowly."""
PRUNING_EPOCHS = 0.4
"""The epochs after pruning as a multiple of the recipe's: the remaining weights are trained already."""
STUDENT_ACCURACY_DROP = 0.01
"""The largest loss of test accuracy of a student that is worth publishing."""


def compress(
    recipe: Recipe, fitted: Fitted, dataset: Dataset, path: Path, options: Options, max_accuracy_drop: float
) -> list[Variant]:
    """Write the variants of a classifier next to its file and measure each; the original comes first.

    The int8 and the pruned variant may lose `max_accuracy_drop` of test accuracy.

    Raises:
        ModelError: an export failed.
    """
    original = measure_original(path, dataset.test)
    variants = [original]
    for name, make in _makers(recipe, fitted, dataset, path, options).items():
        target = path.with_name(f"{path.stem}-{name}.onnx")
        keras.utils.set_random_seed(options.seed)  # otherwise it would differ after a resumed training
        make(target)
        drop = STUDENT_ACCURACY_DROP if name == "student" else max_accuracy_drop
        variants.append(compare(name, target, original, dataset.test, drop))
    return variants


def _makers(
    recipe: Recipe, fitted: Fitted, dataset: Dataset, path: Path, options: Options
) -> dict[str, Callable[[Path], None]]:
    """Return for each variant a function that writes its file."""
    feed = Feed(dataset.train, recipe.batch_size, recipe.augment, recipe.augmented_copies, options.seed)
    epochs = options.epochs or (1 if options.is_fast else recipe.epochs)  # a fast run need not be good

    def write_int8(target: Path) -> None:
        chosen = np.random.default_rng(options.seed).permutation(len(dataset.train))[:CALIBRATION_EXAMPLES]
        quantize(path, INPUT, dataset.train.to_model(dataset.train.inputs[chosen]), target)

    def write_pruned(target: Path) -> None:
        assert isinstance(fitted, FittedKeras)
        assert isinstance(recipe.network, KerasNetwork)
        pruned = prune(fitted.model, recipe.network.loss, feed, max(1, round(PRUNING_EPOCHS * epochs)))
        _write(pruned, target)

    def write_student(target: Path) -> None:
        assert isinstance(recipe.task, ClassificationTask)
        shape = dataset.test.to_model(dataset.test.inputs[:1]).shape[1:]
        is_planar = recipe.preprocess is not None and recipe.preprocess.layout == "NCHW"
        graph, to_probabilities = Graph(path.read_bytes()), recipe.task.probabilities

        def teacher(features: Array) -> Array:
            return to_probabilities(graph.run({INPUT: features}, OUTPUT))

        rounds = max(1, round(STUDENT_EPOCHS * epochs))
        student = distill(teacher, shape, len(dataset.labels), feed, rounds, is_planar=is_planar)
        if recipe.task.activation != "softmax":  # its output is probabilities, like the original's
            student = keras.Sequential([keras.Input(shape), *student.layers, keras.layers.Activation("softmax")])
        _write(student, target)

    makers: dict[str, Callable[[Path], None]] = {"int8": write_int8, "student": write_student}
    if isinstance(fitted, FittedKeras):
        makers["pruned"] = write_pruned
    return makers


def _write(model: keras.Model, target: Path) -> None:
    """Export a copy without its training: Keras cannot load a file with a custom loss."""
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    keras_path = target.with_suffix(".keras")
    bare.save(keras_path)
    write_onnx(keras_path, target)
