import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from onnxlet.contract import layout
from onnxlet.contract.artifact import ORT, Artifact
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Crash, Manifest
from onnxlet.limits import MIB
from onnxlet.models.cache import LOAD_FACTOR
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet_cli.doctor import versions
from onnxlet_cli.doctor.versions import BASE_MIB, Examination
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.damage import damage
from tests.helpers.findings import one, only, wrong


@pytest.fixture
def manifest(registry: Registry) -> Manifest:
    return registry.resolve("digits")


def republished(registry: Registry, manifest: Manifest, **changes: Any) -> Manifest:
    """Another version with some fields replaced; nobody checks it."""
    return registry.publish(replace(manifest, **changes), {})


def with_graph(registry: Registry, ir_version: int, opset: int) -> Manifest:
    """A version whose one graph claims to be of these versions: the gate would have refused it."""
    manifest = publish(registry, graphs.candidate("sums", graphs.sums()))
    proto = graphs.sums()
    proto.ir_version = ir_version
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("", opset))
    data = proto.SerializeToString()
    artifact = Artifact.of("model", "fp32", data)
    golden = manifest.artifact("golden")
    assert golden is not None
    return registry.publish(replace(manifest, artifacts=(artifact, golden)), {artifact.sha256: data})


class TestBytes:
    def test_a_removed_blob_is_named(
        self, folder: Path, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        artifact = manifest.artifact("preprocess")
        assert artifact is not None
        (folder / layout.blob_key(artifact.sha256)).unlink()
        words = (
            "digits version 2, preprocess fp32 (onnx)",
            layout.blob_key(artifact.sha256),
            "publish the model again",
        )
        only(versions.examine(registry, manifest, examination), "error", "artifact_missing", *words)

    def test_a_damaged_blob_is_named(
        self, folder: Path, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        damage(folder, manifest)
        found = wrong(versions.examine(registry, manifest, examination))
        assert {(finding.severity, finding.code) for finding in found} == {("error", "artifact_damaged")}
        assert all("SHA-256" in finding.found and "delete blobs/sha256/" in finding.remedy for finding in found)
        assert [finding.where for finding in found] == [
            "digits version 2, model fp32 (onnx)",
            "digits version 2, model fp32 (ort)",
        ]

    def test_nothing_is_loaded_where_onnx_runtime_is_broken(
        self, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        found = list(versions.examine(registry, manifest, dataclasses.replace(examination, can_load=False)))
        assert [finding.code for finding in found] == ["artifacts", "forms"]


class TestForms:
    def test_forms_of_another_onnx_runtime_are_named(
        self, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        artifacts = tuple(
            replace(artifact, runtime="1.30.0") if artifact.format == ORT else artifact
            for artifact in manifest.artifacts
        )
        old = republished(registry, manifest, artifacts=artifacts)
        words = ("made by onnxruntime 1.30.0", f"expected onnxruntime {examination.pinned}", "publish the model again")
        only(versions.examine(registry, old, examination), "warning", "form_outdated", *words)

    @pytest.mark.parametrize(("ir_version", "opset", "words"), [(99, 18, "IR version 99"), (10, 99, "opset 99")])
    def test_a_graph_that_is_too_new_is_named(
        self, registry: Registry, examination: Examination, ir_version: int, opset: int, words: str
    ) -> None:
        manifest = with_graph(registry, ir_version, opset)
        found = list(versions.examine(registry, manifest, examination))
        one(found, "error", "graph_too_new", words, "sums version 2, model fp32 (onnx)", "export it again")

    def test_a_graph_that_does_not_load_is_named(self, registry: Registry, examination: Examination) -> None:
        manifest = publish(registry, graphs.candidate("sums", graphs.sums()))
        artifact = Artifact.of("model", "fp32", b"no graph")
        broken = registry.publish(replace(manifest, artifacts=(artifact,)), {artifact.sha256: b"no graph"})
        found = list(versions.examine(registry, broken, examination))
        one(found, "error", "graph_unloadable", "cannot load the graph")
        one(found, "warning", "golden_none", "no golden example")


class TestGolden:
    def test_an_answer_other_than_the_golden_is_named_for_each_form(
        self, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        right, other = registry.golden(manifest), registry.golden(registry.version("digits", 1))
        assert right is not None
        assert other is not None
        data = Golden(right.inputs, other.outputs).to_json()
        artifact = Artifact.of("golden", "fp32", data, "json")
        artifacts = (*(each for each in manifest.artifacts if each.role != "golden"), artifact)
        wrong_one = registry.publish(replace(manifest, artifacts=artifacts), {artifact.sha256: data})
        found = wrong(versions.examine(registry, wrong_one, examination))
        assert [(finding.code, finding.where) for finding in found] == [
            ("golden_differs", "digits version 3, model fp32 (onnx)"),
            ("golden_differs", "digits version 3, model fp32 (ort)"),
        ]
        assert all(" off" in finding.found for finding in found)

    def test_a_golden_example_that_cannot_be_read_or_run_is_named(
        self, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        golden = registry.golden(manifest)
        assert golden is not None
        others = [each for each in manifest.artifacts if each.role != "golden"]
        for data, code in ((b"{}", "golden_unreadable"), (Golden({}, golden.outputs).to_json(), "golden_fails")):
            artifact = Artifact.of("golden", "fp32", data, "json")
            broken = registry.publish(
                replace(manifest, artifacts=(*others, artifact)), {artifact.sha256: data}, alias=None
            )
            assert {finding.code for finding in wrong(versions.examine(registry, broken, examination))} == {code}

    def test_what_the_model_draws_numbers_for_is_said_not_to_be_compared(
        self, registry: Registry, examination: Examination
    ) -> None:
        manifest = publish(registry, graphs.candidate("noise", graphs.noise()))
        found = list(versions.examine(registry, manifest, examination))
        assert wrong(found) == []
        replayed = [finding.found for finding in found if finding.code == "golden"]
        assert replayed == ["y not compared, since the model draws random numbers"] * len(replayed) != []


class TestCrashes:
    @pytest.mark.parametrize("node", ["quotient", None])
    def test_what_ends_the_process_is_named(
        self, registry: Registry, manifest: Manifest, examination: Examination, node: str | None
    ) -> None:
        crashes = (Crash("Div", node, "SIGFPE where x is 0"),)
        fragile = registry.publish(replace(manifest, crashes=crashes), {}, alias=None)
        (found,) = wrong(versions.examine(registry, fragile, examination))
        assert (found.code, found.found) == ("model_crashes", "Div ends the process: SIGFPE where x is 0")
        assert found.where == "digits version 3" + (', node "quotient"' if node else "")


class TestMemory:
    def sized(self, manifest: Manifest, mib: float, *, is_ort: bool) -> Manifest:
        """The manifest with one graph of so many MiB."""
        model = next(
            artifact
            for artifact in manifest.artifacts
            if artifact.role == "model" and (artifact.format == ORT) == is_ort
        )
        return replace(manifest, artifacts=(replace(model, size_bytes=int(mib * MIB), part_digests=()),))

    def test_a_small_model_fits(self, manifest: Manifest, examination: Examination) -> None:
        assert versions.examine_memory(manifest, examination, 128, "here").severity == "ok"

    def test_a_model_that_takes_more_while_it_is_loaded_is_named(
        self, manifest: Manifest, examination: Examination
    ) -> None:
        needed = math.ceil(BASE_MIB + LOAD_FACTOR * 100)
        copied = self.sized(manifest, 100, is_ort=False)
        finding = versions.examine_memory(copied, examination, needed - 1, "here")
        assert (finding.severity, finding.code) == ("error", "memory_small")
        assert finding.remedy == f"give the function {needed} MiB"
        assert versions.examine_memory(copied, examination, needed, "here").severity == "ok"

    def test_a_model_that_is_mapped_may_do_with_less(self, manifest: Manifest, examination: Examination) -> None:
        finding = versions.examine_memory(self.sized(manifest, 100, is_ort=True), examination, 512, "here")
        assert (finding.severity, finding.code) == ("warning", "memory_tight")

    def test_a_model_over_the_bound_is_never_loaded(self, manifest: Manifest, examination: Examination) -> None:
        large = self.sized(manifest, 300, is_ort=True)
        finding = versions.examine_memory(large, examination, 512, "here")
        assert (finding.severity, finding.code) == ("error", "memory_small")
        assert "256 MiB for models" in finding.found
        loose = dataclasses.replace(examination, bound_mib=400)
        assert versions.examine_memory(large, loose, 512, "here").severity == "warning"

    def test_it_is_looked_at_where_the_memory_is_said(
        self, registry: Registry, manifest: Manifest, examination: Examination
    ) -> None:
        found = list(versions.examine(registry, manifest, dataclasses.replace(examination, memory_mib=1769)))
        one(found, "ok", "memory", "1769 MiB")
