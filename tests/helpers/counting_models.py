"""A model of each kind of payload whose answer shows how many rows ran as one tensor."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.tasks.pictures import ImageFeatures
from onnxlet.contract.tasks.sounds import AudioClassification
from onnxlet.contract.tasks.tables import Column, TableTask
from onnxlet.contract.tasks.texts import FeatureExtraction, Tokenization
from onnxlet_publishing.candidate import Candidate
from tests.helpers import graphs
from tests.helpers.text_models import FOLDER

SIDE = 8

LENGTH = 400
"""The samples of a sound."""


def texts() -> Candidate:
    """A vector for each text: the number of texts, and of the tokens that each of them has with its padding."""
    return Candidate(
        "texts",
        graphs.to_file(_sizes("input_ids", TensorProto.INT64, ["batch", "tokens"], "vector")),
        "test",
        task=FeatureExtraction("feature-extraction", Tokenization({"input_ids": "input_ids"}, 64), "vector"),
        tokenizer=(FOLDER / "feature-extraction" / "tokenizer.json").read_bytes(),
    )


def tables() -> Candidate:
    """Two numbers for each row: the number of rows, and of columns."""
    model = _sizes("x", TensorProto.FLOAT, ["batch", 3], "counts")
    columns = tuple(Column(name, "x") for name in ("a", "b", "c"))
    return Candidate("tables", graphs.to_file(model), "test", task=TableTask("tabular-regression", columns))


def pictures() -> Candidate:
    """A vector for each picture: the number of pictures, and the number of their channels."""
    return Candidate(
        "pictures",
        graphs.to_file(_sizes("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE], "vector")),
        "test",
        preprocess=ImagePreprocess(SIDE, SIDE, 3, layout="NCHW"),
        task=ImageFeatures("image-feature-extraction", ("vector",)),
    )


def sounds() -> Candidate:
    """Two labels for each sound, whose scores are the number of sounds, and of their samples."""
    return Candidate(
        "sounds",
        graphs.to_file(_sizes("samples", TensorProto.FLOAT, ["batch", LENGTH], "scores")),
        "test",
        classification=Classification(("sounds", "samples"), "none"),
        task=AudioClassification("audio-classification", 16_000, length=LENGTH),
    )


def _sizes(name: str, datatype: int, shape: list[int | str], output: str) -> onnx.ModelProto:
    """Return a model whose output has, for each row, the first two dimensions of its input."""
    return graphs.model(
        [
            helper.make_node("Shape", [name], ["shape"]),
            helper.make_node("Slice", ["shape", "zero", "two"], ["sizes"]),
            helper.make_node("Slice", ["shape", "zero", "one"], ["rows"]),
            helper.make_node("Concat", ["rows", "one"], ["tiles"], axis=0),
            helper.make_node("Unsqueeze", ["sizes", "zero"], ["row"]),
            helper.make_node("Tile", ["row", "tiles"], ["tiled"]),
            helper.make_node("Cast", ["tiled"], [output], to=TensorProto.FLOAT),
        ],
        [(name, datatype, shape)],
        [(output, TensorProto.FLOAT, ["batch", 2])],
        {name: np.array([value], np.int64) for name, value in (("zero", 0), ("one", 1), ("two", 2))},
    )
