from pathlib import Path

import onnx
import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.deploy import model
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.hugging_face import encoder, write_folder


@pytest.fixture
def local(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "local").as_uri(), create=True))


def find(name: str | None, local: Registry, deployed: list[str], default: str | None = None) -> model.Source:
    return model.find_source(name, local.store.url, lambda: deployed, default)


def test_the_model_of_the_local_registry_comes_before_the_deployed_one(local: Registry) -> None:
    publish(local, graphs.digits_candidate())
    source = find(None, local, ["digits"], "digits")
    assert source.text == f"digits, version 1 of {local.store.url}"


def test_a_deployed_model_is_found_without_a_local_one(local: Registry) -> None:
    source = find(None, local, ["shapes"], "shapes")
    assert source.text == "shapes, as it is deployed"


def test_a_file_has_the_same_publication_each_time(local: Registry, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(graphs.classifier(), path)
    first, second = (find(str(path), local, []) for _ in range(2))
    assert first.publication is not None
    assert first.publication == second.publication


def test_a_folder_is_another_publication_if_its_description_differs(local: Registry, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "vectors", encoder(("last_hidden_state", None)))
    first, second = (find(str(folder), local, []) for _ in range(2))
    assert first.text == "vectors, of vectors/model.onnx"
    assert first.publication == second.publication
    write_folder(folder, encoder(("last_hidden_state", None)), {"max_position_embeddings": 24})
    assert find(str(folder), local, []).publication != first.publication


def test_an_unknown_model_is_an_error_with_those_that_there_are(local: Registry) -> None:
    publish(local, graphs.digits_candidate())
    with pytest.raises(UsageError, match=r"--model shapes: no live version of it; .* has digits"):
        find("shapes", local, [])


def test_the_runtime_is_the_pinned_one() -> None:
    assert model.deployed_runtime().startswith("1.")
