import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from onnxlet.contract.declarations import Classification
from onnxlet.contract.example import Example
from onnxlet.contract.tasks.tables import Column, TableTask
from onnxlet.errors import ManifestError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.gate import pass_gate
from onnxlet_publishing.onnx_file import from_model
from onnxlet_publishing.publish import publish
from tests.helpers import graphs, scikit_models, task_models


def people() -> Candidate:
    candidate = graphs.candidate("people", graphs.columns())
    columns = tuple(Column(spec.name, spec.name) for spec in candidate.model.inputs)
    return replace(candidate, task=TableTask("tabular-regression", columns))


def example_of(candidate: Candidate) -> Example:
    example = pass_gate(candidate).candidate.example
    assert example is not None
    return example


@pytest.mark.parametrize("task", task_models.TEXT_TASKS)
def test_a_model_of_texts_gets_an_example_of_its_task(task: str) -> None:
    example = example_of(task_models.text_candidate(task))
    assert example.media_type == ("application/json" if example.body.startswith(b"{") else "text/plain")
    assert (task == "zero-shot-classification") == ("candidate_labels" in example.parameters)


def test_a_model_of_pictures_gets_a_picture() -> None:
    example = example_of(graphs.digits_candidate())
    assert Image.open(io.BytesIO(example.body)).format == "PNG"


def test_a_model_of_tables_gets_a_row_by_column() -> None:
    candidate = people()
    assert json.loads(example_of(candidate).body).keys() == {spec.name for spec in candidate.model.inputs}


def test_a_row_has_values_that_the_encoders_of_the_graph_know() -> None:
    columns = tuple(Column(name, name) for name in scikit_models.PASSENGER_TYPES)
    candidate = Candidate(
        "passengers",
        from_model("m.onnx", scikit_models.passengers_file()),
        "test",
        task=TableTask("tabular-regression", columns),
    )
    assert json.loads(example_of(candidate).body)["sex"] in {"female", "male"}


def test_a_classifier_of_strings_gets_a_sentence_if_it_takes_one() -> None:
    labels = Classification(("ham", "spam"), output="output_probability")
    texts = Candidate("t", from_model("m.onnx", scikit_models.texts_file()), "test", classification=labels)
    assert example_of(texts).media_type == "text/plain"
    words = replace(texts, model=from_model("m.onnx", scikit_models.words_file()))
    assert pass_gate(words).candidate.example is None


def test_a_model_of_tensors_gets_none() -> None:
    assert pass_gate(graphs.candidate("sums", graphs.sums())).candidate.example is None


def test_an_example_that_the_model_does_not_answer_is_refused() -> None:
    candidate = replace(people(), example=Example("application/json", b'{"age": "old"}'))
    with pytest.raises(ModelError, match=r"does not answer its example \(application/json\): row 1"):
        pass_gate(candidate)


def test_a_published_example_is_read_back_as_it_was() -> None:
    registry = Registry(open_store("memory://examples"))
    example = Example("text/plain", b"It is warm.", {"top_k": 2})
    manifest = publish(registry, replace(task_models.text_candidate("text-classification"), example=example))
    assert registry.example(manifest) == example


@pytest.mark.parametrize("field", ["media_type", "b64", "parameters"])
def test_a_damaged_example_is_refused_by_its_field(field: str) -> None:
    document = json.loads(Example("text/plain", b"a").to_json())
    with pytest.raises(ManifestError, match=field):
        Example.from_json(json.dumps({**document, field: 7}).encode(), "example")
