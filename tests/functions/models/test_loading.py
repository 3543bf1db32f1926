import dataclasses
import uuid
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onnxlet import session
from onnxlet.contract import layout
from onnxlet.contract.artifact import JSON, ORT, Artifact
from onnxlet.contract.document import MAX_DOCUMENT_BYTES
from onnxlet.contract.golden import Golden
from onnxlet.contract.json_tensors import to_values
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec, zeros
from onnxlet.errors import ArtifactError, InferenceError
from onnxlet.models.loading import load
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.optimize import GraphForm, optimize
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.damage import damage


@pytest.fixture
def registry() -> Registry:
    return Registry(open_store(f"memory://{uuid.uuid4()}"))


def images(count: int = 1, side_pixels: int = 40) -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side_pixels, side_pixels, 1), np.uint8)
    return Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes()))


def never_runs() -> onnx.ModelProto:
    """Picks rows of a table that has none."""
    return graphs.model(
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        [("index", TensorProto.INT64, ["n"])],
        [("row", TensorProto.FLOAT, ["n", 2])],
        {"table": np.zeros((0, 2), np.float32)},
    )


OF_NO_MODEL = Golden({"x": zeros(TensorSpec("x", DATATYPES["FP32"], (1,)))}, {})

UNUSABLE = {
    "missing": None,
    "too large": b" " * (MAX_DOCUMENT_BYTES + 1),
    "no JSON": b"{",
    "of the future": b'{"schema": 99}',
    "other inputs": replace(OF_NO_MODEL, outputs={"output": OF_NO_MODEL.inputs["x"]}).to_json(),
    "other outputs": replace(OF_NO_MODEL, outputs=OF_NO_MODEL.inputs).to_json(),
    "nothing to compare": replace(OF_NO_MODEL, random=("output",)).to_json(),
}


class TestLoad:
    def test_a_variant_is_loaded_where_a_version_has_it(self, registry: Registry) -> None:
        """A variant that answers differently, to tell them apart."""
        other = graphs.to_file(graphs.classifier(7)).data
        manifest = publish(registry, dataclasses.replace(graphs.digits_candidate(), variants={"int8": other}))
        assert {artifact.variant for artifact in manifest.artifacts if artifact.role == "model"} == {"fp32", "int8"}
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        first, small, unknown = (
            to_values(load(registry, manifest, threads=1, variant=variant).run(inputs)["output"])
            for variant in (None, "int8", "nope")
        )
        assert first == unknown != small

    def test_a_model_that_zeros_do_not_fit_is_loaded_all_the_same(self, registry: Registry) -> None:
        model = load(registry, publish(registry, graphs.candidate("never", never_runs())), threads=1)
        with pytest.raises(InferenceError):
            model.run({"index": zeros(TensorSpec("index", DATATYPES["INT64"], (1,)))})

    @pytest.mark.parametrize("role", ["model", "preprocess", "postprocess"])
    def test_each_graph_is_verified(self, tmp_path: Path, role: str) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        damage(tmp_path, manifest, role)
        with pytest.raises(ArtifactError, match=rf"{role} artifact: expected bytes 0 to \d+"):
            load(registry, manifest, threads=1)

    def test_what_a_failure_leaves_unread_is_not_kept(self, tmp_path: Path) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        damage(tmp_path, manifest, "preprocess")
        with pytest.raises(ArtifactError, match="preprocess artifact"):
            load(registry, manifest, threads=1)
        assert registry.artifacts._fetches == {}

    @pytest.mark.parametrize("seed", [0, 7])
    def test_a_layout_for_these_cpus_is_used_only_where_it_gives_the_golden_answer(
        self, registry: Registry, caplog: pytest.LogCaptureFixture, seed: int
    ) -> None:
        """Seed 0 is the published network itself, seed 7 one that answers otherwise."""
        manifest = publish(registry, graphs.digits_candidate(0))
        (form,) = optimize(GraphForm("model", "fp32", graphs.classifier(seed).SerializeToString()), None)
        laid_out = dataclasses.replace(form, cpu=session.cpu_class())
        artifact = laid_out.artifact()
        draft = replace(manifest, artifacts=(*manifest.artifacts, artifact))
        changed = registry.publish(draft, {artifact.sha256: laid_out.data})
        assert changed.best(runtime=session.runtime())[0] == artifact
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        found, expected = (load(registry, each, threads=1).run(inputs)["output"] for each in (changed, manifest))
        assert found == expected
        assert ("its golden answer is" in caplog.text) == (seed == 7)

    @pytest.mark.parametrize("golden", UNUSABLE.values(), ids=UNUSABLE)
    def test_a_layout_that_cannot_be_checked_is_replaced_by_another_form(
        self, registry: Registry, caplog: pytest.LogCaptureFixture, golden: bytes | None
    ) -> None:
        manifest = publish(registry, graphs.digits_candidate())
        (form,) = optimize(GraphForm("model", "fp32", graphs.classifier().SerializeToString()), None)
        laid_out = dataclasses.replace(form, cpu=session.cpu_class())
        blobs = {Artifact.of("golden", "fp32", golden or b"?", JSON): golden, laid_out.artifact(): laid_out.data}
        others = tuple(artifact for artifact in manifest.artifacts if artifact.role != "golden")
        stored = {artifact.sha256: data for artifact, data in blobs.items() if data is not None}
        changed = registry.publish(replace(manifest, artifacts=(*others, *blobs)), stored)
        assert changed.best(runtime=session.runtime())[0] == laid_out.artifact()
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        found, expected = (load(registry, each, threads=1).run(inputs)["output"] for each in (changed, manifest))
        assert found == expected
        assert "digits version 2: another form is loaded" in caplog.text

    def test_a_layout_for_other_cpus_is_not_even_fetched(self, registry: Registry) -> None:
        manifest = publish(registry, graphs.digits_candidate())
        other = replace(Artifact.of("model", "fp32", b"?", ORT, onnxruntime.__version__), cpu="mips")
        draft = replace(manifest, artifacts=(*manifest.artifacts, other))
        assert other not in draft.best(runtime=session.runtime())

    def test_a_form_that_cannot_be_loaded_is_replaced_by_the_portable_one(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        inputs = load(registry, manifest, threads=1).to_inputs(images())
        expected = load(registry, manifest, threads=1).run(inputs)
        before = damage(tmp_path, manifest)
        portable = manifest.artifact("model")
        assert portable is not None
        portable_blob = tmp_path / layout.blob_key(portable.sha256)
        portable_blob.write_bytes(before[portable_blob])
        assert load(registry, manifest, threads=1).run(inputs) == expected
        assert "another form is loaded" in caplog.text
