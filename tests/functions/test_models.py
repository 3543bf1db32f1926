import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxlet.contract import layout
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec, to_values, zeros
from onnxlet.errors import ArtifactError, InferenceError, InvalidTensorError, ModelNotFoundError
from onnxlet.models import Model, Models, load
from onnxlet.registry import Registry
from onnxlet.store import open_store
from tests import graphs
from training.publish import publish


@pytest.fixture
def registry() -> Registry:
    return Registry(open_store(f"memory://{uuid.uuid4()}"))


@pytest.fixture
def digits(registry: Registry) -> Model:
    return load(registry, publish(registry, graphs.digits_candidate()), threads=1)


@pytest.fixture
def two(registry: Registry) -> Model:
    return load(registry, publish(registry, graphs.candidate("two", graphs.two_inputs())), threads=1)


def int32(*values: int) -> Tensor:
    return Tensor(DATATYPES["INT32"], (1, len(values)), memoryview(np.array(values, np.int32).tobytes()))


def images(count: int = 1, side_pixels: int = 40) -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side_pixels, side_pixels, 1), np.uint8)
    return Tensor(DATATYPES["UINT8"], pixels.shape, memoryview(pixels.tobytes()))


class TestModel:
    def test_outputs_come_by_name_all_or_the_wanted(self, two: Model) -> None:
        inputs = {"a": int32(5, 7), "b": int32(1, 2)}
        assert {name: to_values(tensor) for name, tensor in two.run(inputs).items()} == {
            "sum": [6, 9],
            "difference": [4, 5],
        }
        assert list(two.run(inputs, ["difference"])) == ["difference"]
        assert list(two.run(inputs, ["sum", "sum"])) == ["sum"]

    def test_the_order_of_the_inputs_does_not_matter(self, two: Model) -> None:
        assert to_values(two.run({"b": int32(1, 2), "a": int32(5, 7)})["difference"]) == [4, 5]

    @pytest.mark.parametrize(
        ("inputs", "outputs", "words"),
        [
            ({}, None, 'input "a": expected INT32 (batch, 2), got nothing'),
            ({"a": int32(1, 2), "c": int32(1, 2)}, None, 'input "c": the model has no such input, expected a, b'),
            ({"a": int32(1, 2), "b": int32(1)}, None, 'input "b": expected INT32 (batch, 2), got INT32 (1, 1)'),
            ({"a": int32(1, 2), "b": int32(1, 2)}, ["x"], 'output "x": the model has no such output, expected sum'),
        ],
    )
    def test_what_the_model_does_not_declare_is_refused(
        self, two: Model, inputs: dict[str, Tensor], outputs: list[str] | None, words: str
    ) -> None:
        with pytest.raises(InvalidTensorError) as caught:
            two.run(inputs, outputs)
        assert words in str(caught.value)

    def test_many_images_are_classified_at_once_as_one_by_one(self, digits: Model) -> None:
        (output,) = digits.run_images(images(3)).values()
        indices, probabilities = digits.classify(output, top_k=4)
        assert indices.shape == probabilities.shape == (3, 4)
        first = Tensor(DATATYPES["UINT8"], (1, 40, 40, 1), images(3).buffer[:1600])
        (alone,) = digits.run_images(first).values()
        assert to_values(digits.classify(alone, 4)[0]) == to_values(indices)[:4]

    def test_images_of_another_number_of_channels_are_refused(self, digits: Model) -> None:
        with pytest.raises(InferenceError):
            digits.run_images(Tensor(DATATYPES["UINT8"], (1, 2, 2, 3), memoryview(bytes(12))))

    def test_a_model_without_declarations_takes_tensors_alone(self, two: Model) -> None:
        with pytest.raises(InferenceError, match='model "two" has no image preprocessing'):
            two.run_images(images())
        with pytest.raises(InferenceError, match='model "two" has no labels'):
            two.classify(int32(1, 2), 1)


def never_runs() -> onnx.ModelProto:
    """Picks rows of a table that has none."""
    return graphs.model(
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        [("index", TensorProto.INT64, ["n"])],
        [("row", TensorProto.FLOAT, ["n", 2])],
        {"table": np.zeros((0, 2), np.float32)},
    )


class TestLoad:
    def test_a_model_that_zeros_do_not_fit_is_loaded_all_the_same(self, registry: Registry) -> None:
        model = load(registry, publish(registry, graphs.candidate("never", never_runs())), threads=1)
        with pytest.raises(InferenceError):
            model.run({"index": zeros(TensorSpec("index", DATATYPES["INT64"], (1,)))})

    @pytest.mark.parametrize("role", ["model", "preprocess", "postprocess"])
    def test_each_graph_is_verified(self, tmp_path: Path, role: str) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        manifest = publish(registry, graphs.digits_candidate())
        (artifact,) = [artifact for artifact in manifest.artifacts if artifact.role == role]
        blob = tmp_path / layout.blob_key(artifact.sha256)
        blob.write_bytes(b"\0" * artifact.size_bytes)
        with pytest.raises(ArtifactError, match=f"{role} artifact: expected {artifact.size_bytes} bytes"):
            load(registry, manifest, threads=1)


class TestModels:
    def test_a_version_is_loaded_once_whatever_names_it(self, registry: Registry) -> None:
        publish(registry, graphs.digits_candidate())
        registry.promote("digits", 1, "stable")
        models = Models(registry, threads=1, refresh_s=60)
        assert models.get("digits") is models.get("digits", "stable") is models.get_version("digits", 1)

    def test_a_loaded_model_needs_no_store(self, tmp_path: Path) -> None:
        registry = Registry(open_store(tmp_path.as_uri()))
        publish(registry, graphs.digits_candidate())
        models = Models(registry, threads=1, refresh_s=60)
        model = models.get("digits")
        for path in tmp_path.rglob("*"):
            if path.is_file():
                path.unlink()
        assert models.get("digits") is model

    def test_a_model_that_could_not_be_loaded_is_asked_for_again(self, registry: Registry) -> None:
        models = Models(registry, threads=1, refresh_s=60)
        for _ in range(2):
            with pytest.raises(ModelNotFoundError):
                models.get("digits")
        publish(registry, graphs.digits_candidate())
        assert models.get("digits").manifest.version == 1
        with pytest.raises(ModelNotFoundError, match="no version 2; it has the versions 1"):
            models.get_version("digits", 2)


class TestLiveUpdate:
    @pytest.fixture
    def registry(self, tmp_path: Path) -> Registry:
        registry = Registry(open_store(tmp_path.as_uri()))
        publish(registry, graphs.digits_candidate(0))
        return registry

    @pytest.fixture
    def models(self, registry: Registry) -> Models:
        """Models that look at the registry at every request, with version 1 loaded."""
        models = Models(registry, threads=1, refresh_s=0)
        assert models.get("digits").manifest.version == 1
        return models

    def test_every_move_of_live_is_followed(self, registry: Registry, models: Models) -> None:
        publish(registry, graphs.digits_candidate(1))
        assert models.get("digits").manifest.version == 2
        registry.rollback("digits")
        assert models.get("digits").manifest.version == 1
        registry.promote("digits", 2)
        assert models.get("digits").manifest.version == 2

    def test_a_staged_version_changes_nothing(self, registry: Registry, models: Models) -> None:
        before = models.get("digits")
        publish(registry, graphs.digits_candidate(1), alias=None)
        assert models.get("digits") is before

    def test_an_alias_is_not_looked_at_before_its_time(self, registry: Registry) -> None:
        models = Models(registry, threads=1, refresh_s=3600)
        models.get("digits")
        publish(registry, graphs.digits_candidate(1))
        assert models.get("digits").manifest.version == 1

    def test_the_old_version_goes_on_where_the_new_one_is_damaged(
        self, registry: Registry, models: Models, tmp_path: Path
    ) -> None:
        manifest = publish(registry, graphs.digits_candidate(1))
        blob = tmp_path / layout.blob_key(manifest.artifacts[0].sha256)
        good = blob.read_bytes()
        blob.write_bytes(good[:-1] + b"?")
        old = models.get("digits")
        assert old.manifest.version == 1
        assert "model artifact" in (models.problem(old) or "")
        blob.write_bytes(good)
        new = models.get("digits")
        assert new.manifest.version == 2
        assert models.problem(new) is None

    def test_the_old_version_goes_on_where_its_alias_is_gone(self, models: Models, tmp_path: Path) -> None:
        (tmp_path / layout.alias_key("digits", "live")).unlink()
        assert models.get("digits").manifest.version == 1
        assert 'no alias "live"' in (models.problem(models.get("digits")) or "")

    def test_an_old_version_is_let_go_unless_an_alias_names_it(self, registry: Registry, models: Models) -> None:
        registry.promote("digits", 1, alias="stable")
        stable = models.get("digits", "stable")
        publish(registry, graphs.digits_candidate(1))
        models.get("digits")
        assert models.get_version("digits", 1) is stable
        publish(registry, graphs.digits_candidate(2))
        second = models.get_version("digits", 2)
        assert models.get("digits").manifest.version == 3
        assert models.get_version("digits", 2) is not second

    def test_a_problem_can_be_asked_for_while_other_aliases_are_loaded(
        self, registry: Registry, models: Models
    ) -> None:
        aliases = [f"alias-{index}" for index in range(200)]
        for alias in aliases:
            registry.promote("digits", 1, alias)
        model, other = models.get("digits"), replace(models.get("digits"))
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # else threads change places too seldom to meet inside one look
        try:
            with ThreadPoolExecutor(4) as pool:
                loaded = [pool.submit(models.get, "digits", alias) for alias in aliases]
                while not all(future.done() for future in loaded):
                    assert models.problem(other) is None
        finally:
            sys.setswitchinterval(interval_s)
        assert all(future.result() is model for future in loaded)

    def test_under_many_clients_every_answer_is_of_a_version_that_was_live(
        self, registry: Registry, models: Models
    ) -> None:
        is_over = threading.Event()
        seen: list[list[int]] = [[] for _ in range(8)]

        def ask(versions: list[int]) -> None:
            while not is_over.is_set():
                model = models.get("digits")
                model.run_images(images())
                versions.append(model.manifest.version)

        threads = [threading.Thread(target=ask, args=(versions,)) for versions in seen]
        for thread in threads:
            thread.start()
        for seed in range(1, 8):
            publish(registry, graphs.digits_candidate(seed))
        is_over.set()
        for thread in threads:
            thread.join()
        assert models.get("digits").manifest.version == 8
        for versions in seen:
            assert versions == sorted(versions), "live only moved forward"
            assert set(versions) <= set(range(1, 9))
