"""A manifest with every kind of declaration, which several test files read."""

from onnxlet.contract.artifact import Artifact
from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.manifest import Manifest, Provenance
from onnxlet.contract.tensors import DATATYPES, TensorSpec

MANIFEST = Manifest(
    model="digits",
    version=3,
    inputs=(TensorSpec("input", DATATYPES["FP32"], ("batch", 28, 28, 1)),),
    outputs=(TensorSpec("output", DATATYPES["FP32"], ("batch", 2)), TensorSpec("free", DATATYPES["BYTES"], None)),
    artifacts=tuple(Artifact(role, "fp32", "ab" * 32, 10) for role in ("model", "preprocess", "postprocess")),
    provenance=Provenance("2026-01-01T00:00:00+00:00", "recipe:digits", "ff", "aa", 7, {"keras": "3"}, "abc"),
    preprocess=ImagePreprocess(28, 28, 1, mean=(0.5,)),
    classification=Classification(("yes", "no"), "softmax"),
    metrics={"accuracy": 0.98},
)
